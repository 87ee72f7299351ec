/** What one API server may cost us; times in milliseconds. */
export interface KubeLimits {
  /** Of one answer, which is one page of a list; above 500 MiB, Node has no string that long. */
  readonly answerBytesMax: number;
  /** Of one event of a watch. */
  readonly lineBytesMax: number;
  readonly headerBytesMax: number;
  /** For TCP and TLS. */
  readonly connectMs: number;
  /** For a call that has no deadline of its own, and for a watch to be accepted. */
  readonly callMs: number;
  /** A silent connection is asked for a sign of life so often; contract operations.md 3.4 no. 3. */
  readonly pingIdleMs: number;
  /** And taken for dead if there is none for so long. */
  readonly pingAnswerMs: number;
  /** How much may be under way to us on one connection, and for one answer. */
  readonly connectionWindowBytes: number;
  readonly streamWindowBytes: number;
}

export const KUBE_LIMITS: KubeLimits = {
  answerBytesMax: 256 * 1024 * 1024,
  // etcd takes 1.5 MiB by default; a watch of one object that large is twice as much, escaped.
  lineBytesMax: 16 * 1024 * 1024,
  headerBytesMax: 64 * 1024,
  // A dial into a cut wire must not hold up the next one, which may find it mended (contract operations.md 3.3, L3).
  connectMs: 4_000,
  callMs: 30_000,
  pingIdleMs: 20_000,
  pingAnswerMs: 15_000,
  connectionWindowBytes: 16 * 1024 * 1024,
  streamWindowBytes: 4 * 1024 * 1024,
};
