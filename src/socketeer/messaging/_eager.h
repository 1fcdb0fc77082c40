/* What `_eager.pyx` needs of CPython's objects: a slot of a class where it lies, and whether anybody has an object. */
#ifndef SOCKETEER_EAGER_H
#define SOCKETEER_EAGER_H

#include <Python.h>
#include <structmember.h>

/* Where `__slots__` has put a name; -1 where `descriptor` is no slot's. */
static Py_ssize_t slot_offset(PyObject *descriptor) {
    if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) {
        return -1;
    }
    return ((PyMemberDescrObject *)descriptor)->d_member->offset;
}

static PyObject **slot_at(PyObject *object, Py_ssize_t offset) {
    return (PyObject **)((char *)object + offset);
}

/* Put a new reference into a slot. */
static void slot_set(PyObject *object, Py_ssize_t offset, PyObject *value) {
    PyObject **at = slot_at(object, offset);
    PyObject *old = *at;
    Py_INCREF(value);
    *at = value;
    Py_XDECREF(old);
}

/* Whether there are references besides the caller's one, or weak ones besides that of `asyncio.all_tasks`. */
static int is_kept(PyObject *object) {
    PyWeakReference *first;
    if (Py_REFCNT(object) > 1) {
        return 1;
    }
    first = *(PyWeakReference **)((char *)object + Py_TYPE(object)->tp_weaklistoffset);
    return first != NULL && first->wr_next != NULL;
}

#endif
