from socketeer.engine.server cimport EngineServer

cdef class Terms:
    cdef public str sid, accepts
    cdef public Py_ssize_t protocol
    cdef public bint binary, encoded, old_browser, polls
    cdef public dict cors, _polled
    cdef public object _posted

    cpdef polled(self, content_type)

cpdef terms_of(EngineServer engine, request)
cpdef bint handle_at_once(EngineServer engine, Terms terms, bytes body, exchange) except -1
cpdef open_at_once(EngineServer engine, request)
cpdef admit_at_once(EngineServer engine, request)
cdef tuple _admit(EngineServer engine, request, str transport)
