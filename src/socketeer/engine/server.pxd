cimport cython

from socketeer.engine.emitter cimport Emitter
from socketeer.engine.http.message cimport Request
from socketeer.engine.session cimport Session

cdef object log

cdef class EngineServer(Emitter):
    cdef public object options, generate_id, relay
    cdef public object _cors, _departed, _forgets, _ids, _make_handler, _origins, _watcher, _wheel, _wheel_loop
    cdef public dict addresses, sessions
    cdef public tuple middlewares
    cdef public bint _closing, tells_headers

    @cython.locals(session=Session)
    cdef _new_session(self, Request request)
    cdef _open(self, Session session, transport, list upgrades)
    cpdef _forget(self, Session session)
