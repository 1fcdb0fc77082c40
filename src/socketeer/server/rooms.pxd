from socketeer.engine.emitter cimport Emitter

cdef class Rooms(Emitter):
    cdef public bint _heard
    cdef public dict _members, _rooms_of

    cdef _drop(self, socket_id, room)
