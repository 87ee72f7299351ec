import type { EpochMs } from "../host.ts";
import type { IssuingKey } from "./certificate.ts";
import type { RevocationList } from "./crl.ts";

/** A certificate authority with its key: read, and verified as a whole. */
export interface Authority extends IssuingKey {
  /** Its certificate, and those between it and a root, in DER; it alone is left out if it is a root itself. */
  readonly chain: readonly Uint8Array[];
  /** What verifies it, in DER; at least one. */
  readonly roots: readonly Uint8Array[];
  /** What its chain and its roots took back; often none. */
  readonly revocations: readonly RevocationList[];
  /** The earliest end of its certificate and its chain. */
  readonly notAfter: EpochMs;
}
