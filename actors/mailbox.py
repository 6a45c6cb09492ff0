"""The mailbox of one plugin: its accepted frames, their outcomes and its counters, in a file that survives its writer.

`mailbox_file` says how; `results` has what may become of a frame.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from operator import lt
from types import MappingProxyType

from ..plugins.errors import MailboxFull
from ..plugins.worker.batch import Batch
from .frames import Frames, NewFrame
from .held import NOTHING_HELD, Held
from .mailbox_file import (
    DELIVERIES_SHIFT,
    FRAME_WORDS,
    KEYED,
    MAX_DELIVERIES,
    RESULT_WORDS,
    TYPE_MASK,
    MailboxCorrupt,
    MailboxFile,
    Sizes,
)
from .mailbox_rows import PLAIN, frame_rows, key_word, ordinary, result_rows
from .mailbox_statistics import MailboxStatistics
from .messages.values import Extra
from .results import (
    DEAD_LETTER,
    FAILED,
    UNKEPT,
    DeadLetter,
    Failed,
    Recalled,
    ReplyLost,
    Result,
    decode_result,
    encode_result,
    encode_results,
    kinds_of,
)

__all__ = [
    "DeadLetter",
    "Failed",
    "Mailbox",
    "MailboxCorrupt",
    "MailboxStatistics",
    "ReplyLost",
    "Result",
]

NO_EXTRAS: Mapping[int, Extra] = MappingProxyType({})


class Mailbox:
    """The bounded queue of one plugin's accepted frames. Frames finish in the order in which they were accepted.

    One thread of one process at a time may use the file. A call that raises has accepted and finished nothing.
    """

    def __init__(self, file: MailboxFile, plugin_id: int) -> None:
        """Use `create` or `open`."""
        self._file = file
        self._state = file.state
        self.plugin_id = plugin_id
        self.capacity, self.capacity_bytes, self.result_bytes = file.sizes
        self.is_cramped = False
        """Whether the last frames were refused because the disk has no room for them."""

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], plugin_id: int, capacity: int, capacity_bytes: int, result_bytes: int
    ) -> Mailbox:
        """Create the file (mode 0600; OSError if it exists) for ``capacity`` frames with ``capacity_bytes`` of headers.

        ``result_bytes`` are for results, the oldest going first. Sizes are at least 1 (ValueError). A kill on the way
        leaves no file of that name.
        """
        return cls(MailboxFile.create(path, Sizes(capacity, capacity_bytes, result_bytes), plugin_id), plugin_id)

    @classmethod
    def open(cls, path: str | os.PathLike[str], plugin_id: int) -> Mailbox:
        """Open the file as its last writer left it; OSError if there is none, `MailboxCorrupt` if it can't be used."""
        return cls(MailboxFile.open(path, plugin_id), plugin_id)

    def close(self) -> None:
        """Close the file, which stays; may be called again. Other calls raise ValueError from then on."""
        self._file.close()

    @property
    def depth(self) -> int:
        """Frames accepted and not finished."""
        return self._state.depth

    @property
    def bytes_held(self) -> int:
        """Header bytes of the frames that are not finished."""
        return self._state.end - self._state.begin

    @property
    def accepted(self) -> int:
        """Frames ever accepted: the ring index of the next one."""
        return self._state.accepted

    @property
    def finished(self) -> int:
        """Frames with an outcome: the ring index of the oldest one without."""
        return self._state.finished

    @property
    def peak_depth(self) -> int:
        """The greatest depth so far."""
        return self._state.peak

    @property
    def restarts(self) -> int:
        """How often `note_restart` was called."""
        return self._state.restarts

    def statistics(self) -> MailboxStatistics:
        """All counters."""
        state = self._state
        return MailboxStatistics(
            accepted=state.accepted,
            processed=state.processed,
            failed=state.failed,
            dead_lettered=state.dead_lettered,
            in_mailbox=state.depth,
            peak=state.peak,
            capacity=self.capacity,
            bytes_held=self.bytes_held,
            capacity_bytes=self.capacity_bytes,
            bytes_processed=state.bytes_processed,
            permission_violations=state.permission_violations,
            restarts=state.restarts,
        )

    def room(self, n_bytes: int) -> bool:
        """Whether one more frame with a header of ``n_bytes`` would be accepted."""
        return self.depth < self.capacity and self.bytes_held + n_bytes <= self.capacity_bytes

    def last_seq(self, session: int) -> int:
        """The last sequence number accepted from ``session``; 0 for none, or when 256 other sessions came after it."""
        return self._file.sessions.last(session)

    def last_seqs(self) -> dict[int, int]:
        """The last sequence numbers of all sessions that are remembered."""
        return self._file.sessions.known()

    def note_last_seqs(self, last_seqs: Mapping[int, int]) -> None:
        """Take frames of these sessions up to these numbers for known, wherever they were accepted."""
        for session, last in last_seqs.items():
            if last > self.last_seq(session):
                self._file.sessions.note(session, last, max(self.accepted, 1))

    def append(self, session: int, seq: int, frame_type: int, header: bytes, data_length: int) -> int:
        """Accept one frame and return its ring index; `MailboxFull` when there is no room. Else as `append_batch`."""
        if self.append_batch(session, ((seq, frame_type, header, data_length),)):
            return self.accepted - 1
        if self.depth == self.capacity:
            raise MailboxFull(self.plugin_id, self.depth, self.capacity)
        raise MailboxFull(self.plugin_id, self.bytes_held, self.capacity_bytes, "bytes")

    def append_batch(
        self,
        session: int,
        frames: Sequence[NewFrame],
        extras: Mapping[int, Extra] = NO_EXTRAS,
        others: Held = NOTHING_HELD,
    ) -> int:
        """Accept, with one commit, the frames before the first that finds no room beside ``others``; return how many.

        ``extras`` says, by sequence number, what few frames have: an end of their time, a key.
        ValueError unless the sequence numbers ascend from `last_seq`; OverflowError for a number that is no u64.
        """
        if not frames:
            return 0
        columns = frames if isinstance(frames, Frames) else Frames.of(frames)
        self._check_order(session, columns.seqs)
        if len(columns.types) == 1:
            return self._append_one(session, columns, extras, others)
        # While it is empty the area begins again, so that few pages are touched.
        state, depth = self._state, self.depth
        begin, tail = (state.begin, state.end) if depth else (0, 0)
        ends = array("Q", accumulate(columns.sizes, initial=tail))[1:]
        frames_left = self.capacity - depth - others.frames
        count = max(0, min(frames_left, bisect_right(ends, begin + self.capacity_bytes - others.bytes)))
        self.is_cramped = count > 0 and not self._file.reserve(count, tail, ends[count - 1] - tail)
        if count and not self.is_cramped:
            rows = frame_rows(session, columns, ends[:count], extras)
            self._file.claim_frames(state.accepted + count)
            self._file.frames.put(state.accepted, rows)
            self._file.header_bytes.put(tail, columns.headers[: ends[count - 1] - tail])
            self._accept(count, begin, ends[count - 1], others.frames)
            self._file.sessions.note(session, columns.seqs[count - 1], state.accepted - 1)
            return count
        return 0

    def _append_one(self, session: int, columns: Frames, extras: Mapping[int, Extra], others: Held) -> int:
        """What `append_batch` does, in the same order of stores, in half the time where there is but one frame."""
        state, file, seq = self._state, self._file, columns.seqs[0]
        index, depth = state.accepted, state.accepted - state.finished
        begin, tail = (state.begin, state.end) if depth else (0, 0)
        end = tail + columns.sizes[0]
        has_room = depth + others.frames < self.capacity and end - begin <= self.capacity_bytes - others.bytes
        self.is_cramped = has_room and not file.reserve(1, tail, columns.sizes[0])
        if self.is_cramped or not has_room:
            return 0
        extra = extras.get(seq, PLAIN)
        what = columns.types[0], columns.data_sizes[0], extra.expires_at_ms, key_word(extra)
        row = file.frames.packed(session, seq, end, *what)
        file.claim_frames(index + 1)
        file.frames.put_row(index, row)
        file.header_bytes.put(tail, columns.headers)
        self._accept(1, begin, end, others.frames)
        file.sessions.note(session, seq, index)
        return 1

    def read(self, index: int, max_frames: int, max_bytes: int, now_ms: int = 0) -> Batch:
        """Frame type and header of unfinished frames from ``index`` on, as many as the limits allow, but at least one.

        A frame that was delivered before comes alone, and none comes whose time is over at ``now_ms``.
        Empty when ``index`` is `accepted`; IndexError when it is below `finished` or above that.
        """
        state, file = self._state, self._file
        if not state.finished <= index <= state.accepted:
            raise IndexError(f"frame {index} is not among {state.finished} to {state.accepted}")
        if not (count := min(max(1, max_frames), state.accepted - index)):
            return Batch(b"", (), b"")
        begin = file.frames.get(index - 1, 1)[2] if index > state.finished else state.begin
        rows = file.frames.get(index, count)
        types = rows[3::FRAME_WORDS]
        edges = array("Q", [end - begin for end in rows[2::FRAME_WORDS]])
        count = max(1, bisect_right(edges, max_bytes))
        if max(types) > TYPE_MASK or any(rows[5::FRAME_WORDS]):
            count = min(count, ordinary(types, rows[5::FRAME_WORDS], now_ms))
            types = array("Q", [word & TYPE_MASK for word in types])
        headers = file.header_bytes.get(begin, edges[count - 1] if count else 0)
        return Batch(bytes(types[:count].tolist()), edges[:count], headers)

    def expires_at(self, index: int) -> int:
        """When the time of the frame with this ring index is over, in milliseconds; 0: never."""
        return self._file.frames.get(index, 1)[5]

    def key(self, index: int) -> int | None:
        """The check sum of the key of the frame with this ring index; ``None`` if it has none."""
        word = self._file.frames.get(index, 1)[6]
        return word ^ KEYED if word else None

    def deliveries(self, index: int) -> int:
        """How often the frame with this ring index was in the hand of a worker that ended."""
        return self._file.frames.get(index, 1)[3] >> DELIVERIES_SHIFT

    def note_delivery(self, index: int) -> None:
        """Note once more that an unfinished frame was in the hand of a worker that ended; at most 255 times."""
        if not self.finished <= index < self.accepted:
            raise IndexError(f"frame {index} is not among {self.finished} to {self.accepted}")
        word = self._file.frames.get(index, 1)[3]
        if word >> DELIVERIES_SHIFT < MAX_DELIVERIES:
            self._file.frames.store(index, 3, word + (1 << DELIVERIES_SHIFT))

    def origins(self, index: int, count: int) -> list[tuple[int, int]]:
        """Session and sequence number of ``count`` frames from ``index`` on, finished or not.

        IndexError when they are not all among the last ``capacity`` frames accepted.
        """
        return list(zip(*self.origin_columns(index, count), strict=True))

    def origin_columns(self, index: int, count: int) -> tuple[array[int], array[int]]:
        """The same as `origins`, sessions and sequence numbers by themselves."""
        if not self._file.oldest_known <= index <= index + count <= self.accepted:
            raise IndexError(f"frames {index} to {index + count} are not all among the last {self.capacity}")
        rows = self._file.frames.get(index, count)
        return rows[::FRAME_WORDS], rows[1::FRAME_WORDS]

    @property
    def oldest_known(self) -> int:
        """Ring index of the oldest frame that `origins` knows."""
        return self._file.oldest_known

    def outcomes(self, index: int, count: int) -> list[tuple[tuple[int, int], Result]]:
        """Origin and result of ``count`` finished frames from ``index`` on; IndexError as with `origins`."""
        origins = self.origins(index, count)
        return list(zip(origins, self._get_results(index, range(count)), strict=True)) if count else []

    def finish(self, results: Sequence[Result]) -> None:
        """Give the oldest unfinished frames their results, with one commit; ValueError for more results than frames."""
        if len(results) > self.depth:
            raise ValueError(f"{len(results)} results for {self.depth} frames")
        if len(results) == 1:
            self._finish_one(results[0])
        elif results:
            kinds = kinds_of(results)
            result_end = self._put_results(kinds, results)
            self._settle(kinds, result_end)
            self._file.release()

    def _finish_one(self, result: Result) -> None:
        """What `finish` does, in the same order of stores, in half the time where there is but one result."""
        state, file, [kind] = self._state, self._file, kinds_of((result,))
        data = encode_result(result)
        begin = max(state.result_end, file.results_claimed - self.result_bytes)
        end = begin + len(data)
        file.claim_results(end)
        if not file.result_bytes.reserve(begin, len(data)):
            kind, data, end = UNKEPT[kind], b"", begin
        if data:
            file.result_bytes.put(begin, data)
        file.results.put_row(state.finished, file.results.packed(kind, begin, end))
        _, _, header_end, _, data_bytes, _, _ = file.frames.get_row(state.finished)
        if kind == DEAD_LETTER:
            state.dead_lettered += 1
        else:
            state.bytes_processed += header_end - state.begin + data_bytes
            state.failed += kind == FAILED
            state.processed += kind != FAILED
        state.finished += 1
        state.begin, state.result_end = header_end, end
        file.commit()
        file.release()

    def recall(self, session: int) -> Recalled:
        """What is known of ``session`` among the last ``capacity`` frames, so that lost answers can be given again."""
        first = self._file.oldest_known
        origins = enumerate(self.origins(first, self.accepted - first))
        owned = [(row, seq) for row, (owner, seq) in origins if owner == session]
        split = bisect_left(owned, (self.finished - first,))
        results = self._get_results(first, [row for row, _ in owned[:split]])
        finished = [(seq, result) for (_, seq), result in zip(owned[:split], results, strict=True)]
        return Recalled(finished, [seq for _, seq in owned[split:]])

    def note_violations(self, n: int = 1) -> None:
        """Count ``n`` more permission violations."""
        self._state.permission_violations += n
        self._file.commit()

    def note_restart(self) -> None:
        """Count one more restart of the plugin's worker."""
        self._state.restarts += 1
        self._file.commit()

    def _check_order(self, session: int, seqs: Sequence[int]) -> None:
        last = self.last_seq(session)
        if seqs[0] <= last or not (isinstance(seqs, range) or all(map(lt, seqs, seqs[1:]))):
            raise ValueError(f"sequence numbers of session {session} must ascend from {last}: {seqs[0]} to {seqs[-1]}")

    def _accept(self, count: int, begin: int, end: int, beside: int) -> None:
        state = self._state
        state.accepted += count
        state.begin, state.end = begin, end
        state.peak = max(state.peak, state.depth + beside)
        self._file.commit()

    def _put_results(self, kinds: bytes, results: Sequence[Result]) -> int:
        """Write the results of the oldest unfinished frames; return the position at which they end."""
        file, chunks = self._file, encode_results(kinds, results)
        # Not below what a killed writer may have overwritten.
        begin = max(self._state.result_end, file.results_claimed - self.result_bytes)
        edges = array("Q", accumulate(map(len, chunks), initial=begin))
        file.claim_results(edges[-1])
        if not file.result_bytes.reserve(begin, edges[-1] - begin):
            kinds, edges, chunks = kinds.translate(UNKEPT), array("Q", [begin]) * len(edges), []
        file.result_bytes.put(begin, b"".join(chunks))
        file.results.put(self.finished, result_rows(kinds, edges))
        return edges[-1]

    def _get_results(self, first: int, rows: Sequence[int]) -> Iterator[Result]:
        """The results of ``rows``, counted from frame ``first``."""
        words = self._file.results.get(first, self.finished - first)
        intact_from = self._file.results_claimed - self.result_bytes
        for row in rows:
            kind, begin, end = words[RESULT_WORDS * row : RESULT_WORDS * (row + 1)]
            intact = begin >= intact_from
            yield decode_result(kind, self._file.result_bytes.get(begin, end - begin) if intact else None)

    def _settle(self, kinds: bytes, result_end: int) -> None:
        state, count = self._state, len(kinds)
        rows = self._file.frames.get(state.finished, count)
        ends, lengths = rows[2::FRAME_WORDS], rows[4::FRAME_WORDS]
        failed, dead = kinds.count(FAILED), kinds.count(DEAD_LETTER)
        state.bytes_processed += ends[-1] - state.begin + sum(lengths)
        if dead:
            columns = zip(kinds, [state.begin, *ends], ends, lengths, strict=False)
            state.bytes_processed -= sum(end - start + n for kind, start, end, n in columns if kind == DEAD_LETTER)
        state.processed += count - failed - dead
        state.failed += failed
        state.dead_lettered += dead
        state.finished += count
        state.begin = ends[-1]
        state.result_end = result_end
        self._file.commit()
