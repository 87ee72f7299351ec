import { status } from "@grpc/grpc-js";
import { printable } from "../printable.ts";
import type { PeerReason } from "../registry/model/peer.ts";
import type { LinkFailure } from "./transport.ts";

const CHECK_GATEWAY = "; check spec.addresses and the TLS listener's port of the Gateway that leads there";
/** A peer that does not know our trust domain says so in its own words; what mends it is at its end. */
const HAVE_US_BELIEVED =
  "; have a Gateway of class istio-remote for us there, or our root for our trust domain in caCertificates of its mesh config";

/** What grpc-js, OpenSSL and the kernel say, what it means, and what to look at; the first that fits counts. */
const CAUSES: readonly (readonly [RegExp, PeerReason, string, string])[] = [
  [
    /unable to (get|verify)|self[- ]signed certificate|unknown ca\b|unknown certificate authority|alert number 48/i,
    "TLSUnknownAuthority",
    "unknown certificate authority",
    "; have the authorities of both clusters under one root, or name the other's root in caCertificates of the mesh config",
  ],
  [/ECONNREFUSED/, "ConnectionRefused", "nothing listens there", CHECK_GATEWAY],
  [
    /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|timed out/i,
    "DialTimeout",
    "nothing answers there",
    `${CHECK_GATEWAY}, and firewalls`,
  ],
  [
    /certificate|alert number 4[2-6]|wrong version number|handshake failure|packet length too long/i,
    "TLSBadCertificate",
    "the TLS handshake failed",
    "; check that the port leads to the peer's control plane, and both certificates with causeway ca status",
  ],
  [/larger than max|message exceeds/i, "VersionSkew", "it sent more at once than our peers do", ""],
  [/Keepalive timeout/i, "Disconnected", "the peer no longer answers pings", ""],
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
  if (code === status.UNAUTHENTICATED) {
    const reason = reasonUnproven(said);
    const fix = reason === "TrustDomainUnknown" ? HAVE_US_BELIEVED : "";
    return { reason, message: `${where} does not believe our certificate: ${said}${fix}` };
  }
  if (code === status.UNIMPLEMENTED || code === status.INVALID_ARGUMENT)
    return { reason: "VersionSkew", message: `${where} does not speak our protocol: ${said}` };
  const [, reason, words, fix] = CAUSES.find(([pattern]) => pattern.test(details)) ?? [];
  if (reason === undefined || words === undefined) return { reason: "Disconnected", message: `${where}: ${said}` };
  return { reason, message: `${where}: ${words} (${said})${fix}` };
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
