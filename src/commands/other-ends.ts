import { type CommandCall, listOption } from "../command.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Explanation } from "../explain/explanation.ts";
import { fileName } from "../inspect/archive/report-source.ts";
import { type AskedPage, askPlane } from "./plane-source.ts";

/** What another control plane says of the same service, or why it did not. */
export interface OtherEnd {
  /** Where it was asked. */
  readonly where: string;
  /** Empty if it did not answer. */
  readonly cluster: string;
  readonly explanation: Explanation | undefined;
  readonly error: string | undefined;
}

/** The page of one host; `caller` is as its query has it. A report explains the names that were global when it was made. */
export const explainPage = (host: string, caller: Readonly<Record<string, string>>): AskedPage => ({
  path: `/debug/explain?${new URLSearchParams({ host, ...caller }).toString()}`,
  archived:
    Object.keys(caller).length > 0 ? [] : [host, `${host}.mesh.internal`].map((name) => `explain/${fileName(name)}`),
  unarchived:
    "--from is for a control plane that runs, and --directory for what one said without a caller: give one of them",
});

/**
 * Asks each control plane that `--peer-admin` and `--peer-state` name: only the exporter knows why it does not share, and
 * what its policies make of a caller. One that does not answer is no reason to say nothing.
 */
export async function askOtherEnds(call: CommandCall, { name, caller }: Explanation): Promise<readonly OtherEnd[]> {
  const { options } = call;
  const places = [
    ...listOption(options, "peerAdmin").map((admin) => ({ where: admin, options: { admin } })),
    ...listOption(options, "peerState").map((state) => ({ where: state, options: { state } })),
  ];
  const [namespace, service] = name.service.split("/");
  const principal = caller === undefined || caller.seen === "" ? undefined : { principal: caller.seen };
  const page = explainPage(`${service}.${namespace}`, principal ?? {});
  return Promise.all(places.map(({ where, options }) => askOne({ ...call, options }, where, page)));
}

/** @throws MeshError `unavailable` if nothing of ours answers, or what it answered. */
export async function askExplanation(call: CommandCall, page: AskedPage): Promise<Explanation> {
  const answer = await askPlane(call, page);
  const isOne = typeof answer === "object" && answer !== null && "contributions" in answer && "sharing" in answer;
  if (isOne) return answer as Explanation;
  throw new MeshError("unavailable", "the answer is no explanation: is it a Causeway of this release?");
}

async function askOne(call: CommandCall, where: string, page: AskedPage): Promise<OtherEnd> {
  try {
    const explanation = await askExplanation(call, page);
    return { where, cluster: explanation.cluster, explanation, error: undefined };
  } catch (thrown) {
    if (call.signal.aborted) throw thrown;
    return { where, cluster: "", explanation: undefined, error: messageOf(thrown) };
  }
}
