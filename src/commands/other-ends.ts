import { type CommandCall, listOption } from "../command.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Explanation } from "../explain/explanation.ts";
import { fetchAdmin } from "./admin-client.ts";

/** What another control plane says of the same service, or why it did not. */
export interface OtherEnd {
  /** Where it was asked. */
  readonly where: string;
  /** Empty if it did not answer. */
  readonly cluster: string;
  readonly explanation: Explanation | undefined;
  readonly error: string | undefined;
}

/** The page of one host; `caller` is as its query has it. */
export const explainPath = (host: string, caller: Readonly<Record<string, string>>): string =>
  `/debug/explain?${new URLSearchParams({ host, ...caller }).toString()}`;

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
  const path = explainPath(`${service}.${namespace}`, principal ?? {});
  return Promise.all(places.map(({ where, options }) => askOne({ ...call, options }, where, path)));
}

/** @throws MeshError `unavailable` if nothing of ours answers, or what it answered. */
export async function askExplanation(call: CommandCall, path: string): Promise<Explanation> {
  const answer = await fetchAdmin(call, path);
  const isOne = typeof answer === "object" && answer !== null && "contributions" in answer && "sharing" in answer;
  if (isOne) return answer as Explanation;
  throw new MeshError("unavailable", "the answer is no explanation: is it a Causeway of this release?");
}

async function askOne(call: CommandCall, where: string, path: string): Promise<OtherEnd> {
  try {
    const explanation = await askExplanation(call, path);
    return { where, cluster: explanation.cluster, explanation, error: undefined };
  } catch (thrown) {
    if (call.signal.aborted) throw thrown;
    return { where, cluster: "", explanation: undefined, error: messageOf(thrown) };
  }
}
