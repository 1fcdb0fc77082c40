cimport cython

from socketeer.protocol.frame cimport text_message

cdef object _loads, _dumps, RESERVED_EVENTS, Message, Packet, EVENT

cdef list _event(bytes data)

cdef class Partial:
    cdef public object packet, expected
    cdef public list attachments

cdef class Parser:
    cdef public object max_attachments, _hook
    cdef public list _attachments

    cpdef decode(self, bytes data, Py_ssize_t at=*)
    @cython.locals(raw='const char *')
    cpdef list decode_event(self, bytes data)
    cpdef encode_event(self, bytes prefix, object ack_id, object args, object compress=*)
    cpdef encode_ack(self, bytes prefix, object ack_id, object args)
