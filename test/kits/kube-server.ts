import { once } from "node:events";
import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createSecureServer, type ServerHttp2Session } from "node:http2";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { ClusterConnection } from "../../src/kube/connection.ts";
import type { Pair, TestAuthority } from "./tls.ts";

/** HTTP/2's are used as if they were HTTP/1's, which is what they are made for. */
export type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

export interface ServerShape {
  readonly protocol?: "h2" | "http/1.1" | "http";
  /** Its certificate; one of `authority` for 127.0.0.1 by default. */
  readonly pair?: Pair;
  /** Asks clients for certificates of this authority. */
  readonly clients?: TestAuthority;
  /** Takes over the connections of those who ask for another protocol. */
  readonly onUpgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

/** What stands in for an API server on this machine, on a port of its own. */
export interface KubeServer extends AsyncDisposable {
  readonly url: string;
  /** To reach it; `over` changes parts. */
  connection(over?: Partial<ClusterConnection>): ClusterConnection;
  /** As accepted, all that ever were. */
  readonly sockets: readonly Socket[];
  readonly sessions: readonly ServerHttp2Session[];
}

export async function kubeServer(
  authority: TestAuthority,
  answer: Answer,
  shape: ServerShape = {},
): Promise<KubeServer> {
  const { protocol = "h2", clients } = shape;
  const { certificate, key } = shape.pair ?? (await authority.issue());
  const tls = {
    cert: certificate,
    key,
    ...(clients && { ca: clients.root, requestCert: true, rejectUnauthorized: true }),
  };
  const onRequest = (request: IncomingMessage, response: ServerResponse): void =>
    void readWhole(request).then((body) => answer(request, response, body));
  const server = newServer(protocol, tls);
  server.on("request", onRequest);
  if (shape.onUpgrade) server.on("upgrade", shape.onUpgrade);
  const sockets: Socket[] = [];
  const sessions: ServerHttp2Session[] = [];
  server.on("connection", (socket: Socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
  });
  server.on("session", (session: ServerHttp2Session) => sessions.push(session));
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `${protocol === "http" ? "http" : "https"}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    sockets,
    sessions,
    connection: (over) => ({
      server: url,
      ca: { text: authority.root },
      insecureSkipTlsVerify: false,
      tlsServerName: undefined,
      user: {},
      refusedAddresses: [],
      ...over,
    }),
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function newServer(protocol: "h2" | "http/1.1" | "http", tls: object): Server {
  if (protocol === "http") return createPlainServer();
  return protocol === "h2" ? createSecureServer({ ...tls, allowHTTP1: false }) : createTlsServer(tls);
}

async function readWhole(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

export function answerJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}
