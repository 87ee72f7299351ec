import type { Topology } from "../topology.ts";
import { askPlane, browserClock } from "./browser.ts";
import { byId } from "./element.ts";
import { Feed } from "./feed.ts";
import { FreshnessLine } from "./freshness-line.ts";
import { MeshPage } from "./mesh-page.ts";

/** A reader who types has a moment to go on. */
const TYPING_MS = 250;
const ANSWER_MS_MAX = 10_000;

type Answer = (Topology & { readonly digest: string; readonly unchanged?: false }) | Unchanged;
interface Unchanged {
  readonly unchanged: true;
  readonly at: string;
}

let topology: (Topology & { readonly digest: string }) | undefined;
let serviceFilter = "";
let shownFor = "";
const page = new MeshPage((cluster) => select(cluster === selected() ? "" : cluster));
const line = new FreshnessLine(browserClock);

function selected(): string {
  const [, name = ""] = /^#cluster=(.*)$/.exec(location.hash) ?? [];
  try {
    return decodeURIComponent(name);
  } catch {
    return "";
  }
}

function select(cluster: string): void {
  const hash = cluster === "" ? "" : `#cluster=${encodeURIComponent(cluster)}`;
  history.replaceState(null, "", `${location.pathname}${hash}`);
  show();
}

const input = (id: string): HTMLInputElement => byId(id) as HTMLInputElement;

function show(): void {
  if (topology === undefined) return;
  const filter = input("cluster-filter").value.trim().toLowerCase();
  page.show(topology, { selected: selected(), filter, onlyAttention: input("only-attention").checked });
}

async function ask(): Promise<void> {
  const filter = serviceFilter;
  const unless = topology !== undefined && shownFor === filter ? topology.digest : "";
  const query = new URLSearchParams({ ...(filter !== "" && { filter }), ...(unless !== "" && { unless }) });
  const answer = (await askPlane(`/debug/topologyz?${query.toString()}`, ANSWER_MS_MAX)) as Answer;
  shownFor = filter;
  topology = answer.unchanged === true ? topology && { ...topology, at: answer.at } : answer;
  show();
}

const feed = new Feed(browserClock, { ask, onFreshness: (freshness) => line.show(freshness) });

let typing = (): void => {};
input("service-filter").addEventListener("input", () => {
  typing();
  typing = browserClock.after(TYPING_MS, () => {
    serviceFilter = input("service-filter").value.trim().toLowerCase();
    feed.refresh();
  });
});
for (const id of ["cluster-filter", "only-attention"]) input(id).addEventListener("input", show);
byId("details-close").addEventListener("click", leave);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && selected() !== "") leave();
});
addEventListener("hashchange", () => {
  show();
  if (selected() !== "") byId("details-title").focus();
});
document.addEventListener("visibilitychange", () => feed.pause(document.hidden));

/** Back to where the cluster was chosen. */
function leave(): void {
  const cluster = selected();
  const inDetails = byId("details").contains(document.activeElement);
  select("");
  if (inDetails && !page.focusGraph(cluster)) byId("cluster-filter").focus();
}

feed.refresh();
