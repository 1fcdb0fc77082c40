cdef object _USUAL, _NOTHING

cdef class Request:
    cdef object __weakref__
    cdef public object address, body, disconnected, method, path, query_string, sid, whole
    cdef public object _fields, _headers, _params, _query, _raw_headers, _repeated, _scope
    cdef public bint secure

cdef class KnownHeaders:
    cdef public dict headers
    cdef public object written
