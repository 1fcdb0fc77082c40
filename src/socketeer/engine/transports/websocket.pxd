cdef class WebSocketTransport:
    cdef public object carrier

cdef class Probe:
    cdef public object _carrier, _noop, _polling, _session, _timeout, _transport
