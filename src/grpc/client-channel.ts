import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { type ErrorCode, MeshError } from "../errors.ts";
import { printable } from "../printable.ts";

/**
 * How a gRPC client of ours opens a channel to `host:port`.
 * @param roots PEM of the roots to trust; undefined for a plaintext port.
 * @param serverName what the server's certificate names, if not the host.
 */
export function clientChannel(
  address: string,
  roots: string | undefined,
  serverName?: string,
): { readonly credentials: grpc.ChannelCredentials; readonly options: grpc.ChannelOptions } {
  if (roots === undefined) return { credentials: grpc.credentials.createInsecure(), options: {} };
  const host = serverName ?? address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  if (isIP(host) === 0) {
    const options = serverName === undefined ? {} : { "grpc.ssl_target_name_override": serverName };
    return { credentials: grpc.credentials.createSsl(Buffer.from(roots)), options };
  }
  // An IP address is no server name in TLS (RFC 6066 3): send another, and hold the certificate to the address.
  const credentials = grpc.credentials.createSsl(Buffer.from(roots), null, null, {
    checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
  });
  return { credentials, options: { "grpc.ssl_target_name_override": "localhost", "grpc.default_authority": address } };
}

const CODES = new Map<grpc.status, ErrorCode>([
  [grpc.status.INVALID_ARGUMENT, "invalid"],
  [grpc.status.UNAUTHENTICATED, "denied"],
  [grpc.status.PERMISSION_DENIED, "denied"],
  [grpc.status.NOT_FOUND, "absent"],
  [grpc.status.UNAVAILABLE, "unavailable"],
  [grpc.status.DEADLINE_EXCEEDED, "timeout"],
  [grpc.status.RESOURCE_EXHAUSTED, "exhausted"],
]);

/** What a call to `address` ended with; the server's words are made fit for a terminal. */
export function callError(error: grpc.ServiceError, address: string): MeshError {
  const code = CODES.get(error.code) ?? "internal";
  const details = printable(reasonOf(error.details), 1024);
  return new MeshError(code, `${address}: ${details} (${grpc.status[error.code]})`, {}, { cause: error });
}

/** grpc-js wraps why it could not connect in words about its resolver. */
function reasonOf(details: string): string {
  const [, cause] =
    /^No connection established\. Last error: (?:Error: )?(.*?)\.? Resolution note:/s.exec(details) ?? [];
  if (cause?.includes("ECONNREFUSED") === true) return "nothing listens there";
  return cause ?? details;
}
