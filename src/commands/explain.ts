import { stringify } from "yaml";
import { type Command, listOption, textOption, UsageError } from "../command.ts";
import { isAskable } from "../explain/question.ts";
import { printable } from "../printable.ts";
import { checkedAdminUrl } from "./admin-client.ts";
import { explanationText } from "./explanation-text.ts";
import { askExplanation, askOtherEnds, explainPage } from "./other-ends.ts";
import { PLANE_OR_REPORT_FLAGS } from "./plane-source.ts";

/** Why a name leads where it does, or nowhere (contract peering.md 6.1); 1 if it has no endpoint, or a policy denies the caller. */
export const explainCommand: Command = {
  name: "explain",
  summary: "why a name has the endpoints that it has, or none; exit code 1 if none, or if a policy denies the caller",
  args: ["<host>"],
  flags: [
    { flags: "--from <pod>", description: "who calls, as namespace/pod; the beginning of the pod's name is enough" },
    {
      flags: "--peer-admin <url>",
      description: "admin port of a peer's control plane, which is asked for its side; may be repeated",
      repeated: true,
    },
    {
      flags: "--peer-state <dir>",
      description: "the same for one on this machine, by its state folder",
      repeated: true,
    },
    {
      flags: "-o, --output <format>",
      description: "how to print",
      choices: ["text", "json", "yaml"],
      default: "text",
    },
    ...PLANE_OR_REPORT_FLAGS,
  ],
  async run(call) {
    const { args, options, printer, terminal } = call;
    const [host = ""] = args;
    const from = textOption(options, "from") ?? "";
    if (from !== "" && !/^[^/]+\/[^/]+$/.test(from))
      throw new UsageError(`--from is "${from}": give a pod as namespace/name, as shop/web-7d4b-x2`);
    if (!isAskable(host))
      throw new UsageError(`"${printable(host, 120)}" is no host: give one as cart.shop.mesh.internal, or cart.shop`);
    for (const url of listOption(options, "peerAdmin")) checkedAdminUrl("--peer-admin", url);
    const answer = await askExplanation(call, explainPage(host, from === "" ? {} : { from }));
    const ends = await askOtherEnds(call, answer);
    const format = textOption(options, "output");
    const whole = { ...answer, otherEnds: ends };
    if (format === "json") printer.out(`${JSON.stringify(whole, undefined, 2)}\n`);
    else if (format === "yaml") printer.out(stringify(whole, { aliasDuplicateObjects: false }));
    else printer.out(explanationText(answer, ends, terminal.columns));
    const denied = [answer, ...ends.flatMap(({ explanation }) => explanation ?? [])].some(({ caller }) =>
      caller?.verdicts.some(({ allowed }) => !allowed),
    );
    return answer.contributions.every(({ cause }) => cause !== undefined) || denied ? 1 : 0;
  },
};
