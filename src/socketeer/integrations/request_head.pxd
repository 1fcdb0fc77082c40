cimport cython

cdef object _TOKEN, _KEY, _STAMP, _LAST, _ITS_OWN, _UPGRADES, USUAL_QUERY
cdef tuple _LEFT_ALONE
cdef Py_ssize_t _MAX_HEAD, _MAX_LINES, _MAX_LINES_KNOWN, _LONGEST_KNOWN

cdef class Fields:
    cdef public dict headers
    cdef public tuple pairs
    cdef public Py_ssize_t length
    cdef public bint forwarded, keep_alive, upgrade

cdef class RequestHead:
    cdef public bytes block, _before, _behind, _stamp
    cdef public Fields fields
    cdef public str method
    cdef public object terms, _query
    cdef public Py_ssize_t body, end, _start

    cdef _part(self, bytes text)
    cpdef bint begins(self, bytes data)

cdef class HeadReader:
    cdef public RequestHead _get, _post
    cdef public Target _target

    cpdef read(self, bytes data)
    cdef RequestHead _read(self, bytes data, RequestHead known)

cdef class Target:
    cdef public tuple prefixes, lengths

@cython.locals(known=dict)
cdef Fields _read_fields(bytes block)
cdef tuple _read_line(str line)
cdef Fields _interpret(dict headers, tuple pairs)
cdef bint _is_key(str key)
cdef str _learn(str name)
