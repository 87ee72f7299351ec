import { type Command, textOption, UsageError } from "../command.ts";
import { MeshError, messageOf } from "../errors.ts";
import { printable } from "../printable.ts";
import { checkedAdminUrl } from "./admin-client.ts";

const METHODS: readonly string[] = ["GET", "PUT"];
/** Where it is in a control plane's own pod, which is where this is run. */
const ADMIN = "http://127.0.0.1:15014";

/**
 * `pilot-discovery request GET /debug/syncz`, as istioctl bug-report runs it in the pods of istiod: what the admin port
 * answers, as it is.
 */
export const requestCommand: Command = {
  name: "request",
  summary: "one request to the admin port, and its answer as it is: what pilot-discovery request does",
  args: ["<method>", "<path>", "[body]"],
  flags: [{ flags: "--admin <url>", description: "the admin port", default: ADMIN }],
  examples: ["causeway request GET /debug/syncz"],
  async run({ args, options, printer, signal }) {
    const [method = "", path = "", body] = args;
    if (!METHODS.includes(method))
      throw new UsageError(`"${printable(method, 40)}" cannot be asked for: there are ${METHODS.join(" and ")}`);
    const base = checkedAdminUrl("--admin", textOption(options, "admin") ?? ADMIN);
    // istioctl sends some paths without their first slash.
    const url = new URL(path.replace(/^\/*/, "/"), base);
    const answer = await fetch(url, { method, signal, redirect: "error", ...(body !== undefined && { body }) }).catch(
      (thrown: unknown) => {
        throw new MeshError("unavailable", `${url.href} cannot be reached: ${causeOf(thrown)}`);
      },
    );
    const text = await answer.text();
    // A page that does not apply is an answer: istioctl throws away all of them if one call fails.
    if (answer.ok || answer.status === 404) {
      printer.out(text.endsWith("\n") ? text : `${text}\n`);
      return 0;
    }
    printer.err(`${url.href} answered ${answer.status}: ${printable(text.trim(), 600)}\n`);
    return 1;
  },
};

/** fetch hides the reason in the cause. */
const causeOf = (thrown: unknown): string =>
  messageOf(thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown);
