import { type ErrorCode, MeshError, messageOf } from "../errors.ts";
import { printable } from "../printable.ts";
import { ApiError, type ApiRequest } from "./api.ts";

/** Every sentence of this module begins with what was asked, and of whom. */
export type Asked = Pick<ApiRequest, "method" | "path"> & { readonly server: string };

const SAID_CHARACTERS_MAX = 600;

const asked = ({ method, path, server }: Asked): string =>
  `${method} ${printable(path, 300)} at ${printable(server, 200)}`;

/** What a caller can do about an HTTP status. 410 is not `absent`: it says nothing about whether a kind is there. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  401: "unauthenticated",
  403: "denied",
  404: "absent",
  405: "unsupported",
  406: "unsupported",
  408: "timeout",
  409: "conflict",
  410: "conflict",
  413: "exhausted",
  415: "unsupported",
  429: "exhausted",
  504: "timeout",
};

function codeOf(status: number): ErrorCode {
  return CODES[status] ?? (status >= 500 ? "unavailable" : "invalid");
}

/** What the server says of a failure: the Status object, as far as it is one. */
export interface StatusObject {
  readonly reason: string;
  readonly message: string;
  readonly retryAfterMs: number | undefined;
}

/** An answer that is no success. @param retryAfterMs of its header, which counts before the Status object's. */
export function refused(from: Asked, status: number, said: StatusObject, retryAfterMs: number | undefined): ApiError {
  const reason = printable(said.reason, 80);
  const message = said.message === "" ? "" : `: ${printable(said.message, SAID_CHARACTERS_MAX)}`;
  const words = `${asked(from)} was answered with ${status}${reason === "" ? "" : ` ${reason}`}${message}`;
  return new ApiError(codeOf(status), words, status, reason, retryAfterMs ?? said.retryAfterMs);
}

/** Our credentials would go wherever the server points. */
export function redirected(from: Asked, status: number, location: string): ApiError {
  const url = URL.canParse(location, from.server) ? new URL(location, from.server) : undefined;
  const to = url === undefined ? "nowhere" : `the host ${printable(url.host, 200)}`;
  const words = `${asked(from)} was answered with ${status}, which points to ${to}; redirects are never followed: name the API server itself`;
  return new ApiError("invalid", words, status, "");
}

/** What the server sent cannot be taken. */
export function unacceptable(from: Asked, status: number, code: ErrorCode, why: string): ApiError {
  return new ApiError(code, `${asked(from)}: ${why}`, status, "");
}

/** Anything that ended a request before its answer was complete. */
export function toApiError(from: Asked, thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  if (thrown instanceof MeshError) return failed(from, thrown.code, thrown.message, thrown);
  const { code, why } = explained(thrown);
  return failed(from, code, why, thrown);
}

/** There was no complete answer. */
export function failed(from: Asked, code: ErrorCode, why: string, cause?: unknown): ApiError {
  const words = `${asked(from)} failed: ${printable(why, SAID_CHARACTERS_MAX)}`;
  return new ApiError(code, words, 0, "", undefined, { cause });
}

const UNKNOWN_CA = "its certificate is not issued by a root that we trust for it; check certificate-authority-data";

/** Codes of the system and of TLS, and what to look at. */
const EXPLAINED: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there; check the server's address and port",
  ECONNRESET: "the server cut the connection",
  EHOSTUNREACH: "there is no route to that host; check the server's address",
  ENETUNREACH: "there is no route to that network; check the server's address",
  ENOTFOUND: "its name cannot be resolved; check the server's name, and DNS",
  EAI_AGAIN: "its name cannot be resolved now; check DNS",
  ETIMEDOUT: "it does not answer; check the server's address, and firewalls in between",
  EPIPE: "the server cut the connection",
  HPE_HEADER_OVERFLOW: "the headers of its answer are longer than we take",
  CERT_HAS_EXPIRED: "its certificate has expired; renew it there, and check the clock here",
  CERT_NOT_YET_VALID: "its certificate is not valid yet; check the clocks on both sides",
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_CA,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_CA,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_CA,
  CERT_SIGNATURE_FAILURE: UNKNOWN_CA,
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for other names; check the server's name, or set tls-server-name",
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: "client-key is not the key of client-certificate; check both",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS there; check the port, and https in the server's URL",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "it wants a client certificate; check client-certificate-data",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: "it does not trust our client certificate; check client-certificate-data",
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: "it does not take our client certificate; check client-certificate-data",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: "our client certificate has expired; renew client-certificate-data",
};

function explained(thrown: unknown): { readonly code: ErrorCode; readonly why: string } {
  const key = thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : "";
  const words = wordsOf(thrown);
  const explanation = EXPLAINED[key];
  return { code: "unavailable", why: explanation === undefined ? words : `${explanation} (${words})` };
}

function wordsOf(thrown: unknown): string {
  // One for each address of a name.
  if (thrown instanceof AggregateError) return thrown.errors.map(messageOf).join("; ");
  // OpenSSL's words stand between its numbers and the lines of its source.
  return messageOf(thrown).replace(/^[0-9A-F]*:error:\w*:[^:]*:[^:]*:([^:]*):.*$/s, "$1");
}
