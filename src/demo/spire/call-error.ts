import { status } from "@grpc/grpc-js";
import { messageOf } from "../../errors.ts";

/** Ends a call with a status of gRPC, in SPIRE's manner of words. */
export class CallError extends Error {
  override readonly name = "CallError";

  constructor(
    readonly code: status,
    message: string,
  ) {
    super(message);
  }

  /** What anything thrown says, under a headline: `malformed CSR: it is cut short`. */
  static because(code: status, headline: string, thrown: unknown): CallError {
    return new CallError(code, `${headline}: ${messageOf(thrown)}`);
  }

  static from(thrown: unknown): CallError {
    return thrown instanceof CallError ? thrown : new CallError(status.INTERNAL, messageOf(thrown));
  }
}

/** Runs `task`; what it throws becomes `code` under a headline. */
export function orFail<T>(code: status, headline: string, task: () => T): T {
  try {
    return task();
  } catch (thrown) {
    throw CallError.because(code, headline, thrown);
  }
}
