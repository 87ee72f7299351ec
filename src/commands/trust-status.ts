import { stringify } from "yaml";
import type { Command } from "../command.ts";
import { MeshError } from "../errors.ts";
import type { TrustView } from "../manager/view.ts";
import { ADMIN_FLAGS, fetchAdmin } from "./admin-client.ts";
import { OUTPUT_FLAG } from "./output.ts";
import { isTroubled, trustStatusText } from "./trust-status-text.ts";

/** `causeway trust status`: what the trust manager knows; 1 if something of it is wrong. */
export const trustStatusCommand: Command = {
  name: "status",
  summary:
    "clusters, their intermediates and roots, as the trust manager knows them; exit code 1 if something is wrong",
  flags: [OUTPUT_FLAG, ...ADMIN_FLAGS],
  async run(call) {
    const { options, printer } = call;
    const view = await fetchAdmin(call, "/debug/trustz");
    if (!isTrustView(view))
      throw new MeshError("unavailable", "the answer says nothing of clusters and roots: is it a trust manager's?");
    if (options["output"] === "json") printer.out(`${JSON.stringify(view, undefined, 2)}\n`);
    else if (options["output"] === "yaml") printer.out(stringify(view, { aliasDuplicateObjects: false }));
    else printer.out(trustStatusText(view));
    return isTroubled(view) ? 1 : 0;
  },
};

export const isTrustView = (answer: unknown): answer is TrustView =>
  typeof answer === "object" &&
  answer !== null &&
  ["clusters", "roots", "refused", "objects"].every((key) => Array.isArray((answer as Record<string, unknown>)[key])) &&
  typeof (answer as Record<string, unknown>)["rotation"] === "object";
