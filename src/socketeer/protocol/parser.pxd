cimport cython

from socketeer.protocol.frame cimport text_message

cdef object _loads, _dumps, Message, Packet, EVENT
cdef frozenset RESERVED_EVENTS

cdef object _json(bytes data)
cdef Py_ssize_t _ZERO, _NINE, _SLASH, _MAX_ID_DIGITS

@cython.locals(start=Py_ssize_t)
cpdef Py_ssize_t event_at(bytes data, Py_ssize_t at) except -1
@cython.locals(limit=Py_ssize_t)
cdef Py_ssize_t _after_digits(bytes data, Py_ssize_t at, Py_ssize_t most) except -1
@cython.locals(raw='const char *')
cpdef list event_payload(bytes data, Py_ssize_t at)

cdef class Partial:
    cdef public object packet, expected
    cdef public list attachments

cdef class Parser:
    cdef public object max_attachments, _hook
    cdef public list _attachments

    cpdef decode(self, bytes data, Py_ssize_t at=*)
    cpdef encode_event(self, bytes prefix, object ack_id, object args, object compress=*)
    cpdef encode_ack(self, bytes prefix, object ack_id, object args)
