from socketeer.engine.emitter cimport Emitter

cdef object log

cdef class EngineServer(Emitter):
    cdef public object options, generate_id, relay
    cdef public object _cors, _departed, _forgets, _ids, _make_handler, _origins, _watcher, _wheel, _wheel_loop
    cdef public dict addresses, sessions
    cdef public tuple middlewares
    cdef public bint _closing, tells_headers

    cdef _new_session(self, request)
    cdef _open(self, session, transport, list upgrades)
