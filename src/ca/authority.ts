import type { EpochMs } from "../host.ts";
import type { IssuingKey } from "./certificate.ts";

/** A certificate authority with its key: read, and verified as a whole. */
export interface Authority extends IssuingKey {
  /** Its certificate, and those between it and a root, in DER; it alone is left out if it is a root itself. */
  readonly chain: readonly Uint8Array[];
  /** What verifies it, in DER; at least one. */
  readonly roots: readonly Uint8Array[];
  /** The earliest end of its certificate and its chain. */
  readonly notAfter: EpochMs;
}
