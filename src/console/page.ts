// Owns the status page: one self-contained document that shows /api/status live. Loads nothing from anywhere; values reach the
// document as text nodes only, so a record's or a reason's text can never become markup.
import { createHash } from 'node:crypto';

const style = `
:root{--ink:#16202c;--soft:#5b6b7d;--line:#d9e0e8;--paper:#f7f9fb;--card:#fff;--good:#14804a;--wait:#9a6700;--bad:#b3261e;--accent:#1f5fbf}
@media (prefers-color-scheme:dark){:root{--ink:#e7edf4;--soft:#93a4b7;--line:#2a3644;--paper:#0e141b;--card:#151d27;--good:#4cc38a;--wait:#e0b050;--bad:#ff8a80;--accent:#7fb0ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 64px}
header{display:flex;align-items:center;gap:14px;margin-bottom:24px}
header svg{width:38px;height:38px;color:var(--accent)}
h1{font-size:22px;margin:0;letter-spacing:-.01em}
header p{margin:0;color:var(--soft);font-size:13px}
.grid{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(310px,1fr))}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px}
h2{font-size:15px;margin:0 0 10px;display:flex;justify-content:space-between;align-items:center;gap:8px}
.badge{font-size:12px;font-weight:600;padding:2px 9px;border-radius:99px;border:1px solid currentColor}
.good{color:var(--good)}.wait{color:var(--wait)}.bad{color:var(--bad)}
dl{display:grid;grid-template-columns:1fr auto;gap:3px 12px;margin:0;font-variant-numeric:tabular-nums}
dt{color:var(--soft)}dd{margin:0;text-align:right}
.reason{margin:10px 0 0;font-size:13px;color:var(--bad);overflow-wrap:anywhere}
.bar{height:5px;border-radius:99px;background:var(--line);overflow:hidden;margin-top:10px}.bar i{display:block;height:100%;background:var(--accent)}
`;

const script = `
const root=document.getElementById('grid'),when=document.getElementById('when');
const el=(tag,cls,text)=>{const e=document.createElement(tag);if(cls)e.className=cls;if(text!==undefined)e.textContent=String(text);return e};
const n=v=>v===null||v===undefined?'–':Number(v).toLocaleString('en');
const bytes=v=>{if(v===null||v===undefined)return'–';const u=['B','kB','MB','GB','TB'];let i=0;while(v>=1024&&i<4){v/=1024;i++}return(i?v.toFixed(1):v)+' '+u[i]};
const secs=v=>v===null||v===undefined?'–':v<90?(+v).toFixed(v<10?1:0)+' s':v<5400?Math.round(v/60)+' min':(v/3600).toFixed(1)+' h';
const tone={streaming:'good',standby:'good',live:'good',starting:'wait',connecting:'wait',backfilling:'wait',paused:'bad',stopped:'bad',broken:'bad'};
function card(title,state,rows,reason,share){const s=el('section'),h=el('h2',null,title);h.append(el('span','badge '+(tone[state]||'wait'),state));
const d=el('dl');for(const [k,v,c] of rows){d.append(el('dt',null,k),el('dd',c||'',v))}s.append(h,d);if(reason)s.append(el('p','reason',reason));
if(share!==undefined){const b=el('div','bar'),i=el('i');i.style.width=Math.round(share*100)+'%';b.append(i);s.append(b)}return s}
function draw(s){const r=s.replication,cards=[card('Hub',s.hub.reachable?r.state:'broken',[['Replication lag',bytes(r.lagBytes)],['Oldest not journaled',secs(r.lagSeconds)],['Slot',r.slotHealth,r.slotHealth==='healthy'?'good':'wait'],['Acknowledged',r.acknowledgedLsn||'–']],r.reason)];
for(const p of s.spokes){const d=p.deliveries,run=p.backfill.find(b=>b.state==='running');
cards.push(card(p.name,p.state,[['Links',n(p.links)],['Deliveries waiting',n(d.pending+d.sent+d.unknown),d.unknown?'wait':''],['Oldest delivery',secs(p.oldestDeliverySeconds)],['Last poll',secs(p.inboundAgeSeconds)],['Parked',n(p.parkedOpen),p.parkedOpen?'bad':''],['Conflicts',n(p.conflictsOpen),p.conflictsOpen?'wait':''],['Drift',n(p.driftOpen),p.driftOpen?'bad':''],['Quota left',p.quota?n(p.quota.remaining)+' / '+n(p.quota.limit):'–']].concat(run?[['Backfill '+run.entity,n(run.records)+(run.total?' / '+n(run.total):'')]]:[]),p.reason,run&&run.total?Math.min(1,run.records/run.total):undefined))}
root.replaceChildren(...cards);when.textContent='Version '+s.version+' · '+new Date(s.at).toLocaleTimeString()}
async function tick(){try{const a=await fetch('/api/status');if(!a.ok)throw new Error('answered '+a.status);draw(await a.json())}catch(e){when.textContent='Not reachable: '+e.message}finally{setTimeout(tick,document.hidden?10000:2000)}}
tick();
`;

const digest = (text: string): string => `'sha256-${createHash('sha256').update(text, 'utf8').digest('base64')}'`;

/** Only this very script and style run; `unsafe-hashes` is not needed because widths are set through the style object. */
export const pagePolicy =
  `default-src 'none'; script-src ${digest(script)}; style-src ${digest(style)}; connect-src 'self'; ` +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

export const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Truespoke</title><style>${style}</style></head>
<body><main><header>
<svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true"><circle cx="16" cy="16" r="13"/><circle cx="16" cy="16" r="3"/><path d="M16 3v10M16 19v10M3 16h10M19 16h10M6.8 6.8l7.1 7.1M18.1 18.1l7.1 7.1M25.2 6.8l-7.1 7.1M13.9 18.1l-7.1 7.1"/></svg>
<div><h1>Truespoke</h1><p id="when" role="status">Loading …</p></div></header>
<div class="grid" id="grid"></div></main>
<script>${script}</script></body></html>
`;
