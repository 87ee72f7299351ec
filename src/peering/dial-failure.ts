import { status } from "@grpc/grpc-js";
import { printable } from "../printable.ts";
import type { PeerReason } from "../registry/model/peer.ts";
import type { LinkFailure } from "./transport.ts";

/** What grpc-js, OpenSSL and the kernel say, and what it means; the first that fits counts. */
const CAUSES: readonly (readonly [RegExp, PeerReason, string])[] = [
  [
    /unable to (get|verify)|self[- ]signed certificate|unknown ca\b|unknown certificate authority|alert number 48/i,
    "TLSUnknownAuthority",
    "unknown certificate authority",
  ],
  [/ECONNREFUSED/, "ConnectionRefused", "nothing listens there"],
  [/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|timed out/i, "DialTimeout", "nothing answers there"],
  [
    /certificate|alert number 4[2-6]|wrong version number|handshake failure|packet length too long/i,
    "TLSBadCertificate",
    "the TLS handshake failed",
  ],
  [/larger than max|message exceeds/i, "VersionSkew", "it sent more at once than our peers do"],
  [/Keepalive timeout/i, "Disconnected", "the peer no longer answers pings"],
];

/** What a peer of our own kind says in one word, beside the status. */
const TOLD: ReadonlyMap<string, PeerReason> = new Map<string, PeerReason>([
  ["NotReady", "SyncPending"],
  ["TrustDomainMismatch", "TrustDomainUnknown"],
  ["OwnCluster", "IdentityMismatch"],
  ["NoCluster", "IdentityMismatch"],
  ["ClusterNameTaken", "IdentityMismatch"],
]);

/**
 * Why a call to a peer ended.
 * @param where as `10.0.0.1 port 15012`.
 * @param word what it said beside the status, if anything.
 */
export function failureOf(code: status, details: string, where: string, word = ""): LinkFailure {
  const said = printable(reasonIn(details), 512);
  const told = TOLD.get(word);
  if (told !== undefined) return { reason: told, message: `${where} refuses us: ${said}` };
  if (code === status.PERMISSION_DENIED) return { reason: "PermissionDenied", message: `${where} refuses us: ${said}` };
  if (code === status.UNAUTHENTICATED)
    return { reason: reasonUnproven(said), message: `${where} does not believe our certificate: ${said}` };
  if (code === status.UNIMPLEMENTED || code === status.INVALID_ARGUMENT)
    return { reason: "VersionSkew", message: `${where} does not speak our protocol: ${said}` };
  const [, reason, words] = CAUSES.find(([pattern]) => pattern.test(details)) ?? [];
  if (reason === undefined || words === undefined) return { reason: "Disconnected", message: `${where}: ${said}` };
  return { reason, message: `${where}: ${words} (${said})` };
}

/** What is wrong with a certificate of which `said` says why it proves nobody: ours, to the peer, or the peer's. */
export function reasonUnproven(said: string): PeerReason {
  if (/trust domain/i.test(said)) return "TrustDomainUnknown";
  return /\broots?\b|authority/i.test(said) ? "TLSUnknownAuthority" : "TLSBadCertificate";
}

/** grpc-js wraps why it could not connect in words about its resolver. */
function reasonIn(details: string): string {
  const [, cause] =
    /^No connection established\. Last error: (?:Error: )?(.*?)\.? Resolution note:/s.exec(details) ?? [];
  return cause ?? details;
}
