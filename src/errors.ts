/** What the caller can do about it; each code has one gRPC status and one exit code at the edges. */
export type ErrorCode =
  | "invalid"
  | "unauthenticated"
  | "denied"
  | "absent"
  | "conflict"
  | "unavailable"
  | "timeout"
  | "exhausted"
  | "unsupported"
  | "internal";

/** Facts for machines and logs. */
export type Detail = Readonly<Record<string, string | number | boolean>>;

/**
 * An expected failure: `message` is a sentence for the person who can fix it, `detail` is for machines and logs.
 * A broken invariant throws AssertionError instead, and ends the process.
 */
export class MeshError extends Error {
  override readonly name = "MeshError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly detail: Detail = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Gives anything thrown a code, keeping the original as `cause`. */
  static from(thrown: unknown, code: ErrorCode = "internal"): MeshError {
    if (thrown instanceof MeshError) return thrown;
    return new MeshError(code, messageOf(thrown), {}, { cause: thrown });
  }
}

/** Work that ended half-way: its message says what was done and what was not, and is told whatever ended it, Ctrl-C as well. */
export class HalfDoneError extends MeshError {}

/** The message of anything thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
