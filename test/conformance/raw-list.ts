/*
 * A process of its own that does the least that a start on a cluster can be: it reads every kind that Causeway lists, in
 * pages, over one connection with the windows that Causeway has, two kinds at once as Causeway does, parses each page and
 * drops it. `node raw-list.js FILE`, where FILE is an `AdminAccess` in JSON, prints what it took.
 */
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { pathOf, type ResourceType } from "../../src/kube/api.ts";
import { KUBE_LIMITS } from "../../src/kube/limits.ts";
import { LOCAL_KINDS } from "../../src/registry/kube/watched-kinds.ts";
import type { AdminAccess } from "./kubeapi.ts";

/** As Causeway asks. */
const PAGE = 500;
const LANES = 2;

export interface RawList {
  /** From before the connection until the last page was parsed. */
  readonly ms: number;
  readonly objects: number;
  readonly bytes: number;
}

interface Page {
  readonly metadata: { readonly continue?: string };
  readonly items: readonly unknown[];
}

async function listAll({ server, ca, token }: AdminAccess): Promise<RawList> {
  const startedAt = performance.now();
  const settings = { enablePush: false, initialWindowSize: KUBE_LIMITS.streamWindowBytes };
  const session = connect(server, { ca, settings, maxSessionMemory: 100 });
  session.once("connect", () => session.setLocalWindowSize(KUBE_LIMITS.connectionWindowBytes));
  const waiting = LOCAL_KINDS.map(({ type }) => type);
  const sum = { objects: 0, bytes: 0 };
  const lane = async (): Promise<void> => {
    for (let type = waiting.shift(); type !== undefined; type = waiting.shift()) await list(session, token, type, sum);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  const ms = performance.now() - startedAt;
  session.close();
  return { ms, ...sum };
}

async function list(
  session: ClientHttp2Session,
  token: string,
  type: ResourceType,
  sum: { objects: number; bytes: number },
): Promise<void> {
  const path = pathOf(type, type.versions[0]!);
  let next = "";
  do {
    const query: string = next === "" ? "" : `&continue=${encodeURIComponent(next)}`;
    const bytes = await get(session, `${path}?limit=${PAGE}${query}`, token);
    const page = JSON.parse(bytes.toString("utf8")) as Page;
    sum.objects += page.items.length;
    sum.bytes += bytes.byteLength;
    next = page.metadata.continue ?? "";
  } while (next !== "");
}

function get(session: ClientHttp2Session, path: string, token: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":path": path,
      authorization: `Bearer ${token}`,
      accept: "application/json",
    });
    const chunks: Buffer[] = [];
    let status = 0;
    stream.on("response", (headers) => (status = headers[":status"] ?? 0));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("end", () =>
      status === 200 ? resolve(Buffer.concat(chunks)) : reject(new Error(`${path}: ${status} ${chunks.join("")}`)),
    );
  });
}

if (process.argv[1] === import.meta.filename)
  console.log(JSON.stringify(await listAll(JSON.parse(readFileSync(process.argv[2]!, "utf8")) as AdminAccess)));
