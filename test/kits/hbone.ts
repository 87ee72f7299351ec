import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import {
  connect as connectHttp2,
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type ServerHttp2Stream,
} from "node:http2";
import { isIPv6 } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls, type PeerCertificate, type TLSSocket } from "node:tls";

/** A certificate with its key, and whom it believes; all in PEM. */
export interface Svid {
  readonly chain: string;
  readonly key: string;
  readonly roots: string;
}

/** The far end of a tunnel. */
export interface TunnelServer {
  /** An address and port, or the stream of an outer tunnel. */
  readonly at: { readonly ip: string; readonly port: number } | Duplex;
  /** Who may be there, as `spiffe://…`. */
  readonly expected: readonly string[];
}

export interface Tunnel {
  readonly stream: Duplex;
  /** Who is there. */
  readonly peer: string;
  close(): void;
}

const HANDSHAKE_MS = 5_000;

/** The SPIFFE ID of a certificate; empty without one. */
export const spiffeIdOf = (certificate: PeerCertificate | undefined): string =>
  /URI:(spiffe:\/\/[^,]+)/.exec(certificate?.subjectaltname ?? "")?.[1] ?? "";

/**
 * Opens an HBONE tunnel as ztunnel does (contract ztunnel.md 6.2): mutual TLS, HTTP/2, CONNECT.
 * @throws with what a ztunnel's log would say: a failed handshake, the wrong identity, or `http status: <code>`.
 */
export async function openTunnel(
  server: TunnelServer,
  svid: Svid,
  authority: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Tunnel> {
  const socket = await handshake(server, svid);
  const peer = spiffeIdOf(socket.getPeerCertificate());
  const session = connectHttp2(`https://${authority}`, { createConnection: () => socket });
  const failed = new Promise<never>((_resolve, reject) =>
    session.once("error", reject).once("close", () => reject(new Error("the connection was closed"))),
  );
  failed.catch(() => undefined);
  try {
    const stream = session.request({ ":method": "CONNECT", ":authority": authority, ...headers }, { endStream: false });
    stream.on("error", () => session.destroy());
    const [answer] = (await Promise.race([once(stream, "response"), failed])) as [
      IncomingHttpHeaders & IncomingHttpStatusHeader,
    ];
    if (answer[":status"] !== 200) throw new Error(`http status: ${answer[":status"]}`);
    stream.on("close", () => session.destroy());
    return { stream: bytesOf(stream), peer, close: () => session.destroy() };
  } catch (thrown) {
    session.destroy();
    throw thrown;
  }
}

async function handshake({ at, expected }: TunnelServer, { chain, key, roots }: Svid): Promise<TLSSocket> {
  const where = "ip" in at ? { host: at.ip, port: at.port } : { socket: at };
  const socket = connectTls({
    ...where,
    ...{ cert: chain, key, ca: roots, ALPNProtocols: ["h2"], minVersion: "TLSv1.3" as const },
    checkServerIdentity: (_host, certificate) => {
      const found = spiffeIdOf(certificate);
      if (expected.includes(found)) return undefined;
      return new Error(`identity verification error: ${found} is not one of ${expected.join(", ")}`);
    },
  });
  socket.setTimeout(HANDSHAKE_MS, () => socket.destroy(new Error("the TLS handshake took too long")));
  try {
    await once(socket, "secureConnect");
  } catch (thrown) {
    socket.destroy();
    throw thrown;
  }
  socket.setTimeout(0);
  // What TLS 1.3 refuses in the client, the client hears after its own handshake.
  socket.on("error", () => undefined);
  return socket;
}

export interface HttpWords {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/**
 * One HTTP/1.1 exchange through a tunnel, which the caller then ends: where the service does, Envoy resets the tunnel, and
 * Node drops what of the answer it has not read yet (operations.md, "Gateways").
 */
export async function exchange(stream: Duplex, { method, path, headers: own }: HttpWords): Promise<HttpAnswer> {
  const headers = { connection: "keep-alive", ...own };
  const asked = request({ method, path, headers, createConnection: () => stream });
  asked.end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  let body = "";
  for await (const bytes of answer) body += String(bytes);
  return { status: answer.statusCode!, headers: answer.headers, body };
}

/** Node 20's HTTP/2 streams garble text that is written to them in another encoding than UTF-8, as HTTP/1 heads are. */
function bytesOf(stream: Duplex): Duplex {
  const bytes = Duplex.from({ readable: stream, writable: stream });
  bytes.on("error", () => stream.destroy());
  return bytes;
}

/** What a server sees of a tunnel that somebody opens. */
export interface IncomingTunnel {
  readonly authority: string;
  readonly peer: string;
  readonly headers: IncomingHttpHeaders;
}

/** The HBONE half of a pod: takes tunnels, and says of each to whom its bytes go, or the status that refuses it. */
export async function serveTunnels(
  { ip, port }: { readonly ip: string; readonly port: number },
  { chain, key, roots }: Svid,
  admit: (tunnel: IncomingTunnel) => Server | number,
): Promise<Http2SecureServer> {
  const server = createSecureServer({ cert: chain, key, ca: roots, requestCert: true, rejectUnauthorized: true });
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on("error", () => undefined);
    const peer = spiffeIdOf((stream.session!.socket as unknown as TLSSocket).getPeerCertificate());
    const tunnel = { authority: String(headers[":authority"]), peer, headers };
    const to = headers[":method"] === "CONNECT" ? admit(tunnel) : 405;
    if (typeof to === "number") return stream.respond({ ":status": to }, { endStream: true });
    stream.respond({ ":status": 200 });
    to.emit("connection", Object.assign(bytesOf(stream), { tunnel }));
  });
  server.on("sessionError", () => undefined);
  server.listen(port, ip);
  await once(server, "listening");
  return server;
}

/** An application behind `serveTunnels` that answers with what it saw. */
export function echoServer(pod: string, more: () => Readonly<Record<string, unknown>> = () => ({})): Server {
  return createServer((asked, answer) => {
    const { tunnel } = asked.socket as unknown as { readonly tunnel: IncomingTunnel };
    const { method, url, headers } = asked;
    answer.setHeader("content-type", "application/json");
    const seen = { pod, peer: tunnel.peer, authority: tunnel.authority, method, path: url, headers, ...more() };
    asked.resume().on("end", () => answer.end(JSON.stringify(seen)));
  });
}

/** As a CONNECT names it. */
export const authorityOf = (host: string, port: number): string =>
  isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
