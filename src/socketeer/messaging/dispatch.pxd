from socketeer.messaging.handlers cimport Handler

cdef object log, _NO_ACK, start, CoroutineType

cpdef pack(result)

cdef class _AckSender:
    cdef object _socket, _id

cdef class _ResultSender:
    cdef object _socket, _id

cpdef run_handler(Handler handler, event, args, ack, done, on_error)
cpdef run_only(socket, Handler handler, event, args, ack_id, on_error)
