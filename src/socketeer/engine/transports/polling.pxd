cdef object _CLOSE_TYPE

cdef class PollingTransport:
    cdef public object _ended, _outbox, _reading, _session, _waiter
    cdef public bint _left, _posting, hurried
    cdef public str name

    cpdef _refusal(self, bint binary, bint encoded)
    cpdef _deliver(self, bytes body, bint binary)
    cpdef _take_text(self, bytes packet)

cdef class PollWaiting:
    cdef public PollingTransport _transport
    cdef public object _answer
    cdef public bint _released

cpdef dict poll_headers(content_type, bint old_browser)
cpdef dict post_headers(bint old_browser)
