// Stands for the Envoy of an east-west gateway, in a process of its own: port 15012 passes TLS through to the control plane,
// port 15008 ends the outer HBONE tunnel and hands what is in it, unread, to a pod. argv: one JSON of `EastWest`.
import { constants, createSecureServer, type ServerHttp2Stream } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { pathToFileURL } from "node:url";

export interface EastWest {
  readonly address: string;
  /** In PEM, leaf first. */
  readonly chain: string;
  readonly key: string;
  readonly roots: string;
  /** Address of the control plane. */
  readonly plane: string;
  /** `<host>:<port>` to the address of the pod that has it. */
  readonly backends: Readonly<Record<string, string>>;
}

const XDS_PORT = 15_012;
const HBONE_PORT = 15_008;

export function serve({ address, chain, key, roots, plane, backends }: EastWest): void {
  createServer((client) => splice(client, connect(XDS_PORT, plane))).listen(XDS_PORT, address);
  const tls = { cert: chain, key, ca: roots, requestCert: true, rejectUnauthorized: true };
  const server = createSecureServer(tls);
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const authority = String(headers[constants.HTTP2_HEADER_AUTHORITY]);
    const caller = (stream.session!.socket as unknown as TlsSocket).getPeerCertificate().subjectaltname;
    const backend = backends[authority];
    console.log(`${headers[":method"]} ${authority} from ${caller} to ${backend}`);
    if (headers[":method"] !== "CONNECT" || backend === undefined) return stream.respond({ ":status": 404 }, END);
    const pod = connect(HBONE_PORT, backend, () => stream.respond({ ":status": 200 }));
    splice(stream, pod);
  });
  server.listen(HBONE_PORT, address, () => console.log("the stand-in is ready"));
}

const END = { endStream: true };
interface TlsSocket {
  getPeerCertificate(): { readonly subjectaltname?: string };
}

/** Either end takes the other with it. */
function splice(one: Socket | ServerHttp2Stream, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
    from.pipe(to);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) serve(JSON.parse(process.argv[2]!) as EastWest);
