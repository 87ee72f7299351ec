import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import * as grpc from "@grpc/grpc-js";

/**
 * How a gRPC client of ours opens a channel to `host:port`.
 * @param roots PEM of the roots to trust; undefined for a plaintext port.
 */
export function clientChannel(
  address: string,
  roots: string | undefined,
): { readonly credentials: grpc.ChannelCredentials; readonly options: grpc.ChannelOptions } {
  if (roots === undefined) return { credentials: grpc.credentials.createInsecure(), options: {} };
  const host = address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  if (isIP(host) === 0) return { credentials: grpc.credentials.createSsl(Buffer.from(roots)), options: {} };
  // An IP address is no server name in TLS (RFC 6066 3): send another, and hold the certificate to the address.
  const credentials = grpc.credentials.createSsl(Buffer.from(roots), null, null, {
    checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
  });
  return { credentials, options: { "grpc.ssl_target_name_override": "localhost", "grpc.default_authority": address } };
}
