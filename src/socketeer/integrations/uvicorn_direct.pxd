from socketeer.engine.http.message cimport Request

cdef class Peer:
    cdef public object client
    cdef public bint secure

cdef class Direct:
    cdef public object app, engine, target, handle, context, _carrier, _path, _proxied

cdef class DirectRequest(Request):
    cdef public object _port
