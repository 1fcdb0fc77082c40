from socketeer.engine.taps cimport Tappable

cdef object _OPEN, _CLOSING, _CLOSED, _RESTING, _AWAITING, _AWAITING_REFRESHED, _LISTENING, _NOWHERE, log

cdef class Session(Tappable):
    cdef object __weakref__
    cdef public object handler, id, options, protocol, request, send, state, tick, transport, upgrading, wheel
    cdef public object _grain, _heartbeat, _on_closed

    cpdef receive_text(self, bytes data)
