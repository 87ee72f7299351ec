import type { Explanation } from "../../explain/answer.ts";
import { askPlane, browserClock, Refused } from "./browser.ts";
import { byId, element, setShown, setText } from "./element.ts";
import { explanationParts } from "./explanation-parts.ts";
import { Feed } from "./feed.ts";
import { FreshnessLine } from "./freshness-line.ts";
import { serviceHref } from "./mesh-rows.ts";

const ANSWER_MS_MAX = 10_000;
const HOSTS_MAX = 500;

const asked = new URLSearchParams(location.search);
const [host, from] = [asked.get("host") ?? "", asked.get("from") ?? ""];
const line = new FreshnessLine(browserClock);
let shown = "";

/** The names that there are, to choose from. */
async function askHosts(): Promise<void> {
  const { hosts } = (await askPlane("/debug/explain", ANSWER_MS_MAX)) as { readonly hosts: readonly string[] };
  const names = hosts.slice(0, HOSTS_MAX);
  const text = names.join(" ");
  if (text === shown) return;
  shown = text;
  byId("hosts").replaceChildren(...names.map((name) => element("option", { attributes: { value: name } })));
  setShown(byId("known"), host === "");
  const items = names.map((name) =>
    element("li", {}, element("a", { text: name, attributes: { href: serviceHref(name) } })),
  );
  byId("known-hosts").replaceChildren(...items);
}

/** A question that cannot be answered is no sign that nobody is there. */
async function explainOrSayWhyNot(): Promise<void> {
  let why = "";
  try {
    await explain();
  } catch (thrown) {
    if (!(thrown instanceof Refused)) throw thrown;
    why = thrown.message;
  }
  setShown(byId("refusal"), why !== "");
  setShown(byId("answer"), why === "");
  setText(byId("refusal"), why);
}

async function explain(): Promise<void> {
  const query = new URLSearchParams({ host, ...(from !== "" && { from }) });
  const explanation = (await askPlane(`/debug/explain?${query.toString()}`, ANSWER_MS_MAX)) as Explanation;
  const text = JSON.stringify(explanation);
  // What reads the same stays: somebody may be copying a command from it.
  if (text === shown) return;
  shown = text;
  setText(byId("title-cluster"), explanation.cluster);
  byId("answer").replaceChildren(...explanationParts(explanation));
}

const input = (id: string): HTMLInputElement => byId(id) as HTMLInputElement;
input("host").value = host;
input("from").value = from;
if (host !== "") document.title = `${host} · Causeway`;

const feed = new Feed(browserClock, {
  ask: host === "" ? askHosts : explainOrSayWhyNot,
  onFreshness: (freshness) => line.show(freshness),
});
document.addEventListener("visibilitychange", () => feed.pause(document.hidden));
feed.refresh();
