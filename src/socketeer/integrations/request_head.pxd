cimport cython

cdef object _TOKEN, _STAMP, _LAST, _ITS_OWN, _UPGRADES, USUAL_QUERY, _KEY_NAME, a2b_base64
cdef bytes _KEY_LINE, _USUAL
cdef tuple _LEFT_ALONE
cdef Py_ssize_t _MAX_HEAD, _MAX_LINES, _MAX_LINES_KNOWN, _LONGEST_KNOWN, _KEY_LENGTH

cdef class Fields:
    cdef public dict headers
    cdef public tuple pairs
    cdef public Py_ssize_t length
    cdef public bint forwarded, keep_alive, upgrade

cdef class Handshake:
    cdef dict _headers
    cdef tuple _before, _behind

    cdef Fields with_key(self, str key)

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
    @cython.locals(line=Py_ssize_t, end=Py_ssize_t, start=Py_ssize_t, is_get=bint, block=bytes, fields=Fields, read=Fields)
    cdef RequestHead _read(self, bytes data, RequestHead known)

cdef class Target:
    cdef public tuple prefixes, lengths

cdef str _query_in(bytes line)
@cython.locals(start=Py_ssize_t, end=Py_ssize_t, rest=bytes, known=Handshake, fields=Fields)
cdef Fields _read_block(bytes block)
@cython.locals(known=dict)
cdef Fields _read_fields(bytes block)
cdef tuple _read_line(str line)
cdef Fields _interpret(dict headers, tuple pairs)
cdef bint _is_key(bytes key)
cdef str _learn(str name)
