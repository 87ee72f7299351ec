import { MeshError } from "../errors.ts";
import { type Endpoint, type EndpointAnswer, jsonAnswer, textAnswer } from "../http-endpoint.ts";
import { pageFile } from "./page-files.ts";

/** What the scripts of the page ask the control plane for; no other page of it can be read here. */
const DATA: ReadonlySet<string> = new Set(["/debug/topologyz", "/debug/explain"]);

/**
 * The page of a control plane that is elsewhere, for this machine alone: its files are ours, and its data is asked for with the
 * rights of whoever serves it. So it only reads, and answers to no name that somebody pointed here.
 * @param ask answers a path with its query; what it throws is answered as the control plane's own sentence.
 */
export const topologyEndpoint =
  (ask: (path: string) => Promise<EndpointAnswer>): Endpoint =>
  ({ method, path, query, local }) => {
    if (method !== "GET" && method !== "HEAD") return ONLY_READ;
    if (!local)
      throw new MeshError("denied", "this page is for the machine that serves it: call it by 127.0.0.1 or localhost");
    if (path === "/") return REDIRECT;
    if (DATA.has(path)) return ask(query.size === 0 ? path : `${path}?${query.toString()}`);
    if (path.startsWith("/debug"))
      throw new MeshError(
        "absent",
        "only the topology is served here; debug pages are on the control plane's admin port",
      );
    return { status: 200, ...pageFile(path) };
  };

/** JSON as a control plane wrote it, whatever that is: no browser takes it for anything else. */
export const dataAnswer = (text: string): EndpointAnswer => jsonAnswer(200, [text]);

const ONLY_READ: EndpointAnswer = {
  ...textAnswer(405, "this can only be read: use GET or HEAD"),
  headers: { allow: "GET, HEAD" },
};

const REDIRECT: EndpointAnswer = {
  ...{ status: 302, contentType: "text/plain; charset=utf-8", body: "see /topology\n" },
  headers: { location: "/topology" },
};
