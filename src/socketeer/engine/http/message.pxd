cdef object _USUAL, _NOTHING

cdef class Request:
    cdef object __weakref__
    cdef public object body, disconnected, sid, whole
    cdef public object _fields, _headers, _params, _query, _raw_headers, _repeated, _scope
    cdef public str address, method, path, query_string
    cdef public bint secure

cdef class KnownHeaders:
    cdef public dict headers
    cdef public object written
