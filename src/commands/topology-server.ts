import { type CommandCall, textOption, UsageError } from "../command.ts";
import { listenError } from "../grpc/listen-error.ts";
import { type EndpointAnswer, HttpEndpoint, textAnswer } from "../http-endpoint.ts";
import { parseLogLevels } from "../log-levels.ts";
import { printable } from "../printable.ts";
import { portOf } from "../settings.ts";
import { systemHost } from "../system-host.ts";
import { dataAnswer, topologyEndpoint } from "../topology/page-server.ts";
import { untilAborted } from "../until-aborted.ts";
import { type PlanePages, refusalIn } from "./plane-pages.ts";

/** Nobody but this machine reaches it, so nobody has to log in. */
const ADDRESS = "127.0.0.1";
/** Replicas that are silent are asked one after the other, each for half a minute; why none answered is to arrive, too. */
const ANSWER_MS = 120_000;

/** @returns the port that is asked for; 0 for any that is free. @throws UsageError */
export function portOption({ options }: Pick<CommandCall, "options">): number {
  const text = textOption(options, "port");
  if (text === undefined) return 0;
  if (options["serve"] !== true) throw new UsageError("--port says where the page is served: add --serve");
  return portOf({ text, from: "--port" });
}

/**
 * Serves the topology page of a control plane on this machine, with what it says now, until somebody ends it.
 * @throws MeshError `unavailable` if the port cannot be had.
 */
export async function serveTopology(call: CommandCall, pages: PlanePages, cluster: string): Promise<void> {
  const { clock, log } = systemHost({ logLevels: parseLogLevels("topology", "none"), logAsJson: false });
  const port = portOption(call);
  const server = new HttpEndpoint(
    clock,
    log.scope("admin"),
    topologyEndpoint((path) => answerOf(pages, path)),
    { idleMsMax: ANSWER_MS },
  );
  try {
    await server.listen(ADDRESS, port);
  } catch (thrown) {
    throw thrown instanceof Error ? listenError("the topology page", { address: ADDRESS, port }, thrown) : thrown;
  }
  try {
    const url = `http://${ADDRESS}:${server.port}/topology`;
    const seenBy = printable(`cluster ${cluster}`, 120);
    call.printer.out(`${url} shows the mesh as ${seenBy} has it (${pages.where})\nCtrl-C ends it.\n`);
    await untilAborted(call.signal);
  } finally {
    await server.close();
  }
}

/** What the control plane refuses, as a name that it does not know, is refused here in its words. */
async function answerOf(pages: PlanePages, path: string): Promise<EndpointAnswer> {
  try {
    return dataAnswer(await pages.text(path));
  } catch (thrown) {
    const refused = refusalIn(thrown);
    if (refused === undefined) throw thrown;
    return textAnswer(refused.status, refused.said);
  }
}
