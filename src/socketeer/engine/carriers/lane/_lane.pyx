# cython: language_level=3, boundscheck=False, wraparound=False, binding=True
"""The native lane's inner half: sockets read and written in batches (sockets.h), their messages told to Python.

A `Lane` is one event loop's epoll set, which the loop watches as one descriptor. A `Connection` is one WebSocket in
it; what RFC 6455 asks beyond whole messages is its Python half's, `carrier.LaneCarrier`. _lane.pyi has the types.

Who keeps what alive: the loop keeps its lane, as long as there are connections; the lane keeps each connection
until its descriptor is closed, and longer while a batch or a list of lines to be flushed still points to it.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EAGAIN, errno
from libc.stdlib cimport free
from libc.string cimport memmove, memset

from collections import deque
from contextvars import Context
import logging

cdef extern from "sockets.h":
    enum:
        LINE_OPEN
        LINE_CLOSING
        LINE_LEAVING
        LINE_CLOSED
        EVENT_FRAME
        EVENT_BROKEN
        EVENT_END
        EVENT_WROTE
        WS_TEXT
        WS_BINARY
        WS_CLOSE
        EPOLL_CTL_ADD
        EPOLL_CTL_MOD

    ctypedef struct piece:
        void *owner

    ctypedef struct line:
        void *owner
        int fd
        unsigned char state, blocked, queued, urgent, paused, broken
        size_t max_size, held, sent
        piece *pieces
        unsigned count, gone

    ctypedef struct event:
        line *from_ "from"
        unsigned char *payload
        unsigned char *owned
        size_t size
        unsigned char what, kind, fin, ascii
        signed char error

    ctypedef struct lane:
        int epoll
        event *events
        size_t count
        unsigned long sends

    ctypedef struct line_list:
        line **lines
        size_t count

    int lane_init(lane *) nogil
    void lane_free(lane *) nogil
    int lane_collect(lane *) nogil
    int lane_feed(lane *, line *, const char *, size_t) nogil
    int line_watch(lane *, line *, int) nogil
    void line_close(lane *, line *) nogil
    int line_add(line *, const unsigned char *, size_t, void *) nogil
    void line_forget(line *) nogil
    void line_send(lane *, line *) nogil
    void line_finish(line *) nogil
    int line_list_add(line_list *, line *) nogil
    void line_list_send(lane *, line_list *, size_t) nogil

cdef extern from "incoming.h":
    ctypedef struct incoming:
        int fd
        unsigned port
        char *host
        char *seen
        size_t size

    int incoming_accept(int, incoming *)
    void incoming_skip(int, size_t)

cdef extern from "Python.h":
    int PyContext_Enter(object) except -1
    int PyContext_Exit(object) except -1
    object PyErr_SetFromErrno(object)

log = logging.getLogger("socketeer")

cdef enum:
    # Readings of one turn of the loop, which has other work as well.
    ROUNDS = 4
    # Connections that one turn sends to; a broadcast to more takes several turns.
    FLUSHED = 512


def accept(int listener):
    """Accept who waits there: the descriptor, the address, and what has come, which stays unread. None: nobody waits."""
    cdef incoming came
    if incoming_accept(listener, &came) < 0:
        if errno == EAGAIN:
            return None
        PyErr_SetFromErrno(OSError)
    return came.fd, (came.host.decode("ascii"), came.port), PyBytes_FromStringAndSize(came.seen, <Py_ssize_t>came.size)


def skip(int fd, size_t size):
    """Drop so much of what has been seen of a connection."""
    incoming_skip(fd, size)


@cython.no_gc_clear
cdef class Lane:
    """The connections of one event loop."""

    cdef lane core
    cdef line_list urgent, waiting
    cdef object __weakref__
    cdef object loop, spare, timer, closing
    cdef set connections
    cdef list leftover, early
    cdef Connection current
    cdef bint busy, woken

    def __cinit__(self, loop):
        memset(&self.urgent, 0, sizeof(line_list))
        memset(&self.waiting, 0, sizeof(line_list))
        if lane_init(&self.core) < 0:
            lane_free(&self.core)
            PyErr_SetFromErrno(OSError)
        self.loop = loop
        self.spare = Context()
        self.timer = None
        self.closing = deque()
        self.connections = set()
        self.leftover, self.early = [], []
        self.current = None

    def __dealloc__(self):
        lane_free(&self.core)
        free(self.urgent.lines)
        free(self.waiting.lines)

    def __len__(self):
        return len(self.connections)

    @property
    def sends(self):
        """System calls so far that have sent something."""
        return self.core.sends

    # --- connections come and go ----------------------------------------------------------------

    cdef int add(self, Connection connection) except -1:
        if line_watch(&self.core, &connection.wire, EPOLL_CTL_ADD) < 0:
            PyErr_SetFromErrno(OSError)
        if not self.connections:
            # Handlers must not see the context of whoever happened to come first.
            Context().run(self.loop.add_reader, self.core.epoll, self.run)
        self.connections.add(connection)
        return 0

    cdef int remove(self, Connection connection) except -1:
        if self.busy or connection.wire.queued or connection.wire.urgent:
            self.leftover.append(connection)
        self.connections.discard(connection)
        if not self.connections:
            self.closing.clear()
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None
            if not self.loop.is_closed():
                self.loop.remove_reader(self.core.epoll)
        return 0

    cdef int end_later(self, Connection connection, double delay) except -1:
        """Cut the connection off unless it has ended by then; the delay is the same for all."""
        self.closing.append((self.loop.time() + delay, connection))
        if self.timer is None:
            self.timer = self.loop.call_later(delay, self.sweep)
        return 0

    def sweep(self):
        """Cut off those whose time is over."""
        cdef double now = self.loop.time() + 0.001
        self.timer = None
        while self.closing and self.closing[0][0] <= now:
            (<Connection>self.closing.popleft()[1]).drop()
        while self.closing and (<Connection>self.closing[0][1]).wire.state == LINE_CLOSED:
            self.closing.popleft()
        if self.closing:
            self.timer = self.loop.call_at(self.closing[0][0], self.sweep)

    # --- reading --------------------------------------------------------------------------------

    def run(self):
        """Something is ready: the loop calls this."""
        cdef int ready, turn
        if self.busy:
            return  # a handler runs the loop within the loop
        self.busy = True
        try:
            while self.early:
                connection, early = self.early.pop(0)
                self.take_early(connection, early)
            for turn in range(ROUNDS):
                with nogil:
                    ready = lane_collect(&self.core)
                if ready < 0:
                    PyErr_SetFromErrno(OSError)
                if ready == 0:
                    break
                self.deliver()
                if self.urgent.count:
                    self.flush_list(&self.urgent, self.urgent.count)
        finally:
            self.busy = False
            self.flush_waiting()

    cdef int take_early(self, Connection connection, bytes early) except -1:
        if connection.wire.state == LINE_OPEN:
            if lane_feed(&self.core, &connection.wire, PyBytes_AS_STRING(early), <size_t>len(early)) < 0:
                connection.drop()
            self.deliver()
        return 0

    cdef int deliver(self) except -1:
        """Tell each connection what has come for it. Nobody's failure keeps the others from theirs."""
        cdef size_t index
        cdef event *each
        cdef Connection connection
        cdef object context, serious = None
        index = 0
        while index < self.core.count:
            each = &self.core.events[index]
            connection = <Connection>each.from_.owner
            if connection.wire.state == LINE_CLOSED:
                free(each.owned)
                index += 1
                continue
            self.current = connection
            context = self.spare if connection.context is None else connection.context
            PyContext_Enter(context)
            try:
                # Up to the next connection's.
                while index < self.core.count and self.core.events[index].from_ is each.from_:
                    index += 1
                    connection.take(&self.core.events[index - 1])
            except Exception:
                connection.broke()
            except BaseException as error:
                serious = error
            finally:
                PyContext_Exit(context)
                self.current = None
            if context is self.spare and len(context):
                # A handler has set a variable, which is this connection's from now on.
                connection.context, self.spare = context, Context()
        self.core.count = 0
        if serious is not None:
            raise serious
        return 0

    # --- writing --------------------------------------------------------------------------------

    cdef int queue(self, Connection connection) except -1:
        """The connection has something to send."""
        cdef line *wire = &connection.wire
        if self.current is connection:
            if not wire.urgent:
                if not line_list_add(&self.urgent, wire):
                    raise MemoryError
                wire.urgent = 1
        elif not wire.queued and not wire.urgent:
            if not line_list_add(&self.waiting, wire):
                raise MemoryError
            wire.queued = 1
            if not self.woken and not self.busy:
                self.woken = True
                self.loop.call_soon(self.wake)
        return 0

    def wake(self):
        """Send what has been queued since the last turn."""
        self.woken = False
        if not self.busy:
            self.flush_waiting()

    cdef int flush_waiting(self) except -1:
        if self.urgent.count:
            self.flush_list(&self.urgent, self.urgent.count)
        if self.waiting.count:
            self.flush_list(&self.waiting, min(self.waiting.count, <size_t>FLUSHED))
            if self.waiting.count and not self.woken:
                self.woken = True
                self.loop.call_soon(self.wake)
        if not self.waiting.count and not self.urgent.count and not self.busy:
            self.leftover.clear()
        return 0

    cdef int flush_list(self, line_list *which, size_t count) except -1:
        cdef size_t index
        cdef list owners = []
        with nogil:
            line_list_send(&self.core, which, count)
        for index in range(count):
            if which is &self.urgent:
                which.lines[index].urgent = 0
            else:
                which.lines[index].queued = 0
        # What follows may call Python, and so queue more: the list is made ready for that first.
        for index in range(count):
            (<Connection>which.lines[index].owner).release()
            if (<Connection>which.lines[index].owner).concerned():
                owners.append(<Connection>which.lines[index].owner)
        which.count -= count
        if which.count:
            memmove(which.lines, which.lines + count, which.count * sizeof(line *))
        for connection in owners:
            (<Connection>connection).settle()
        return 0


@cython.no_gc_clear
cdef class Connection:
    """One WebSocket in a lane: bytes, and whole messages."""

    cdef line wire
    cdef Lane lane
    cdef object context
    cdef public object receiver
    cdef public object _fragments
    cdef size_t high_water, low_water, max_bytes

    def __cinit__(self, *_):
        memset(&self.wire, 0, sizeof(line))
        self.wire.fd = -1
        self.wire.state = LINE_CLOSED
        self.wire.owner = <void *>self

    def __init__(self, Lane lane not None, size_t max_size, marks):
        self.lane = lane
        self.context = None
        self.receiver = None
        self._fragments = None
        self.wire.max_size = max_size
        self.high_water, self.low_water, self.max_bytes = marks.high_water, marks.low_water, marks.max_bytes

    def __dealloc__(self):
        if self.wire.state != LINE_CLOSED:
            line_close(&self.lane.core, &self.wire)
        self.wire.gone = self.wire.count
        self.release()

    def open(self, int fd, bytes answer not None, bytes early not None):
        """Take a descriptor over. `answer` leaves with what follows it in this turn; `early` has come already."""
        if self.wire.state != LINE_CLOSED or self.wire.fd >= 0:
            raise RuntimeError("a connection is opened once")
        self.wire.fd = fd
        self.wire.state = LINE_OPEN
        try:
            self.lane.add(self)
        except BaseException:
            self.wire.fd = -1
            self.wire.state = LINE_CLOSED
            raise
        self.put(answer)
        if early:
            # Who receives is not there yet.
            self.lane.early.append((self, early))
            self.lane.loop.call_soon(self.lane.run)

    # --- incoming -------------------------------------------------------------------------------

    cdef int take(self, event *came) except -1:
        cdef bytes data
        cdef line *wire = &self.wire
        if wire.state == LINE_CLOSED:
            free(came.owned)
        elif came.what == EVENT_FRAME:
            if wire.state != LINE_OPEN:
                free(came.owned)
                if came.kind == WS_CLOSE and wire.state == LINE_CLOSING:
                    self.drop()
                return 0
            try:
                data = PyBytes_FromStringAndSize(<char *>came.payload, <Py_ssize_t>came.size)
            finally:
                free(came.owned)
                came.owned = NULL
            if came.fin and self._fragments is None:
                if came.kind == WS_TEXT:
                    if came.ascii or self._is_utf8(data):
                        self.receiver.receive_text(data)
                    return 0
                if came.kind == WS_BINARY:
                    self.receiver.receive_binary(data)
                    return 0
            self._other_frame(came.kind, data, came.fin != 0)
        elif came.what == EVENT_WROTE:
            self.release()
            if self.concerned():
                self.settle()
        elif came.what == EVENT_BROKEN:
            self._unreadable(came.error)
        else:
            self.ended()
        return 0

    cdef int broke(self) except -1:
        """A message could not be handled."""
        log.exception("a message could not be handled; its connection is closed")
        try:
            self._fail(1011, "internal error")
        except Exception:
            log.exception("a connection could not be closed in order")
            self.drop()
        return 0

    cdef int ended(self) except -1:
        """The peer sends nothing more. What is queued for it still goes out."""
        cdef bint told = self.wire.state != LINE_OPEN
        if told:
            self.drop()
        else:
            self.leave(b"")
            self.receiver.carrier_lost("transport close", "connection lost")
        return 0

    # --- outgoing -------------------------------------------------------------------------------

    def send(self, message):
        """Queue a message; it leaves with the others of the same turn, in order."""
        cdef object framed
        if self.wire.state != LINE_OPEN:
            return
        framed = message.framed
        if framed is None:
            framed = message.frames()
        self.put(<bytes?>framed)

    cdef int put(self, bytes data) except -1:
        if not line_add(&self.wire, <unsigned char *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), <void *>data):
            raise MemoryError
        Py_INCREF(data)
        if self.wire.blocked and self.lane.current is not self:
            if self.wire.held > self.max_bytes and self.wire.state == LINE_OPEN:
                self.give_up()
        else:
            self.lane.queue(self)
        return 0

    def control(self, bytes frame not None):
        """Queue a control frame."""
        if self.wire.state != LINE_CLOSED:
            self.put(frame)

    def writable(self):
        """Whether nothing waits to leave."""
        return self.wire.held == 0

    def held(self):
        """Bytes queued and not yet taken by the system."""
        return self.wire.held

    def flush(self):
        """Send what is queued now, unless the peer has to read first."""
        if self.wire.count and not self.wire.blocked and self.wire.fd >= 0:
            with nogil:
                line_send(&self.lane.core, &self.wire)
            self.release()
        if self.concerned():
            self.settle()

    cdef void release(self) noexcept:
        """Let go of the bytes that have left."""
        cdef unsigned index
        for index in range(self.wire.gone):
            Py_DECREF(<object>self.wire.pieces[index].owner)
        if self.wire.gone:
            line_forget(&self.wire)

    cdef bint concerned(self) noexcept:
        """Whether something follows from what has been sent, or could not be."""
        cdef line *wire = &self.wire
        return wire.paused or wire.blocked or wire.state == LINE_LEAVING or wire.broken

    cdef int settle(self) except -1:
        cdef line *wire = &self.wire
        if wire.blocked and wire.held > self.high_water:
            wire.paused = 1
        elif wire.paused and wire.held <= self.low_water:
            wire.paused = 0
            self._resume_waiters()
        if wire.count == 0:
            if wire.state == LINE_LEAVING:
                self.drop()
            elif wire.broken and wire.state == LINE_CLOSING:
                line_finish(wire)
        elif wire.blocked and wire.held > self.max_bytes and wire.state == LINE_OPEN:
            self.give_up()
        return 0

    cdef int give_up(self) except -1:
        """Let a peer go that does not read."""
        self.drop()
        self.receiver.carrier_lost("transport error", "more than max_bytes queued: the client does not read")
        return 0

    # --- the end --------------------------------------------------------------------------------

    @property
    def is_open(self):
        """Whether nobody has begun to end it."""
        return self.wire.state == LINE_OPEN

    @property
    def paused(self):
        """Whether more is queued than the peer takes."""
        return self.wire.paused != 0

    @property
    def blocked(self):
        """Whether the system takes no more for now."""
        return self.wire.blocked != 0

    @property
    def max_size(self):
        """Bytes that a message may have."""
        return self.wire.max_size

    def end(self, bytes frame not None, double delay):
        """Send a close frame behind what is queued; the peer has so many seconds to answer it."""
        if self.wire.state != LINE_OPEN:
            return
        self.put(frame)
        self.wire.state = LINE_CLOSING
        self._resume_waiters()
        self.lane.end_later(self, delay)
        self.flush()

    def leave(self, bytes frame not None):
        """Send what is queued and this behind it, and end."""
        if self.wire.state != LINE_OPEN:
            return
        if frame:
            self.put(frame)
        self.wire.state = LINE_LEAVING
        self._resume_waiters()
        self.flush()
        if self.wire.state == LINE_LEAVING:
            line_watch(&self.lane.core, &self.wire, EPOLL_CTL_MOD)
            self.lane.end_later(self, self._patience())

    def drop(self):
        """End it now; what is queued goes nowhere. Twice does nothing."""
        cdef line *wire = &self.wire
        if wire.state == LINE_CLOSED:
            return
        line_close(&self.lane.core, wire)
        wire.gone = wire.count
        wire.held = wire.sent = 0
        wire.blocked = wire.paused = 0
        self.release()
        self._fragments = None
        self.lane.remove(self)
        self._resume_waiters()
        self._gone()

    # --- the other half's -----------------------------------------------------------------------

    def _other_frame(self, kind, payload, last):
        raise NotImplementedError

    def _is_utf8(self, data):
        raise NotImplementedError

    def _unreadable(self, error):
        raise NotImplementedError

    def _fail(self, code, description):
        raise NotImplementedError

    def _patience(self):
        raise NotImplementedError

    def _resume_waiters(self):
        raise NotImplementedError

    def _gone(self):
        raise NotImplementedError
