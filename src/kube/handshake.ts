import { isIP } from "node:net";
import { checkServerIdentity, connect, type ConnectionOptions, type PeerCertificate, type TLSSocket } from "node:tls";
import { MeshError, messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { ClusterConnection } from "./connection.ts";
import { textOf } from "./credentials.ts";
import { whyNotCertificates } from "./kubeconfig-material.ts";
import type { Proof } from "./proof.ts";

/**
 * Connects, and agrees on a protocol: HTTP/2 or 1.1, unless `options` name others. What the server sends next is still to
 * be read when this resolves. ⇄
 * @throws what broke it, MeshError `timeout` after `connectMs`, or the reason of `closing`.
 */
export function handshake(
  clock: Clock,
  origin: URL,
  options: ConnectionOptions,
  connectMs: number,
  closing: AbortSignal,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const port = Number(origin.port || 443);
    const socket = connect({ ALPNProtocols: ["h2", "http/1.1"], ...options, host: hostOf(origin), port });
    const fail = (error: Error): void => {
      settled();
      socket.destroy();
      reject(error);
    };
    const late = `no connection in ${connectMs / 1000} s; is the address right, and is a firewall in between?`;
    const deadline = clock.after(connectMs, () => fail(new MeshError("timeout", late)));
    const onClosing = (): void => fail(closing.reason as Error);
    const settled = (): void => {
      deadline[Symbol.dispose]();
      closing.removeEventListener("abort", onClosing);
    };
    closing.addEventListener("abort", onClosing);
    // For as long as the socket lives: nobody else may listen when it breaks.
    socket.on("error", fail);
    socket.once("secureConnect", () => {
      settled();
      resolve(socket);
    });
  });
}

const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, "");

/** Whom to trust, and what to show. @throws MeshError `invalid` or `absent` if a file cannot be read or holds something else. */
export async function tlsOptions(
  { ca, insecureSkipTlsVerify, tlsServerName }: ClusterConnection,
  origin: URL,
  { certificate }: Proof,
): Promise<ConnectionOptions> {
  const name = tlsServerName ?? hostOf(origin);
  return {
    // An address is no server name in TLS (RFC 6066 3).
    ...(isIP(name) === 0 && { servername: name }),
    checkServerIdentity: (_, shown) => whyNotServer(name, shown),
    rejectUnauthorized: !insecureSkipTlsVerify,
    ...(ca && { ca: await rootsOf(ca) }),
    ...(certificate && { cert: certificate.certificate, key: certificate.key }),
  };
}

/** Node does not expect this to throw, and certificates are whatever a server likes. */
function whyNotServer(name: string, certificate: PeerCertificate): Error | undefined {
  try {
    return checkServerIdentity(name, certificate);
  } catch (thrown) {
    return new Error(messageOf(thrown), { cause: thrown });
  }
}

async function rootsOf(ca: NonNullable<ClusterConnection["ca"]>): Promise<string> {
  const roots = await textOf(ca);
  const wrong = whyNotCertificates(roots);
  if (wrong === undefined) return roots;
  throw new MeshError("invalid", `${"file" in ca ? ca.file : "the certificate authority"} ${wrong}`);
}
