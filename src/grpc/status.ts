import { type ErrorCode, MeshError } from "../errors.ts";

/** gRPC status codes, as the peers know them. */
const CODES: Readonly<Record<ErrorCode, number>> = {
  invalid: 3,
  timeout: 4,
  absent: 5,
  denied: 7,
  exhausted: 8,
  conflict: 9,
  unsupported: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
};

/** Longer texts would not fit beside other headers; ztunnel takes 16 KiB of them all. */
const MESSAGE_BYTES_MAX = 4096;

/** Beside the status: why, in one word, for clients that act on it. */
export const REASON_HEADER = "causeway-reason";

export type StatusHeaders = Readonly<
  Record<"grpc-status", number> & Partial<Record<"grpc-message" | typeof REASON_HEADER, string>>
>;

/** The trailers that end a call; without an error, well. What is not a MeshError says nothing of itself. */
export function statusHeaders(error?: Error): StatusHeaders {
  if (error === undefined) return { "grpc-status": 0 };
  if (!(error instanceof MeshError)) return { "grpc-status": CODES.internal, "grpc-message": "internal error" };
  const { reason } = error.detail;
  return {
    "grpc-status": CODES[error.code],
    "grpc-message": encodeMessage(error.message),
    ...(typeof reason === "string" && /^[A-Za-z]{1,64}$/.test(reason) && { [REASON_HEADER]: reason }),
  };
}

/** Percent-encodes all but printable ASCII (gRPC over HTTP/2, Status-Message). */
function encodeMessage(message: string): string {
  let encoded = "";
  for (const byte of Buffer.from(message)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    if (encoded.length >= MESSAGE_BYTES_MAX) break;
  }
  return encoded;
}
