import { MeshError } from "../../src/errors.ts";
import type { AdminAnswer, EnvoyAdmin } from "../../src/gateway/envoy-admin.ts";

/** An Envoy as its admin interface shows it; what it says can be changed at any time. */
export class EnvoyStandIn implements EnvoyAdmin {
  readonly address = "127.0.0.1:15000";
  readonly posted: string[] = [];
  up = true;
  state = "LIVE";
  listeners = "connect_terminate::0.0.0.0:15008\nstats::0.0.0.0:15090\n";
  stats: Readonly<Record<string, number>> = {};
  info = "{}";
  /** Whether it ends when it is told to. */
  obeys = true;

  get(path: string): Promise<AdminAnswer> {
    if (!this.up) return Promise.reject(new MeshError("unavailable", "Envoy does not answer on 127.0.0.1:15000"));
    const [page, query = ""] = path.split("?filter=");
    const wanted = new RegExp(decodeURIComponent(query));
    const lines = Object.entries(this.stats).filter(([name]) => wanted.test(name));
    const pages: Readonly<Record<string, string>> = {
      "/ready": `${this.state}\n`,
      "/listeners": this.listeners,
      "/server_info": this.info,
      "/stats": lines.map(([name, count]) => `${name}: ${count}\n`).join(""),
    };
    return Promise.resolve({ status: 200, text: pages[page!]! });
  }

  post(path: string): Promise<AdminAnswer> {
    this.posted.push(path);
    if (!this.up) return this.get(path);
    if (path === "/quitquitquit" && this.obeys) this.up = false;
    return Promise.resolve({ status: 200, text: "OK\n" });
  }
}
