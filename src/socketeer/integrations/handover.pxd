cdef class HandOver:
    cdef public object _carrier, _connections, _key, _loop, _subprotocols, _transport
    cdef public bytes _early

    cdef _take_lane(self, options, list headers)

cdef _begin(carrier, ready)
