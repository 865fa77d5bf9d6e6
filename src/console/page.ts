// Owns the status page: one self-contained document that shows /api/status live and lets an operator pause a spoke. Loads nothing from
// anywhere; values reach the document as text nodes only, so a record's or a reason's text can never become markup. What is shown is
// changed in place: the focus of a keyboard and the place of a screen reader survive every refresh.
import { createHash } from 'node:crypto';

const style = `
:root{color-scheme:light dark;--ink:#16202c;--soft:#556577;--line:#d9e0e8;--paper:#f5f7fa;--card:#fff;--good:#0f7242;--wait:#8a5a00;--bad:#b3261e;--accent:#1f5fbf;--goodbg:#e4f5ec;--waitbg:#fdf2d8;--badbg:#fdeceb}
@media (prefers-color-scheme:dark){:root{--ink:#e7edf4;--soft:#9badc0;--line:#2a3644;--paper:#0e141b;--card:#151d27;--good:#5dd39e;--wait:#e6ba5f;--bad:#ff9a91;--accent:#8ab6ff;--goodbg:#12301f;--waitbg:#33280f;--badbg:#3a1a18}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 20px 64px}
header{display:flex;align-items:center;gap:14px;margin-bottom:24px}
header svg{width:40px;height:40px;color:var(--accent);flex:none}
h1{font-size:22px;line-height:1.2;margin:0;letter-spacing:-.01em}
header p{margin:2px 0 0;color:var(--soft);font-size:13px}
#all{margin-left:auto}
.grid{display:grid;gap:16px;grid-template-columns:repeat(auto-fill,minmax(min(100%,310px),1fr));align-items:start}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;display:flex;flex-direction:column;min-height:100%}
section.bad{border-color:var(--bad)}
h2{font-size:16px;margin:0 0 10px;display:flex;justify-content:space-between;align-items:center;gap:8px;overflow-wrap:anywhere}
.badge{font-size:12px;font-weight:600;padding:2px 10px;border-radius:99px;white-space:nowrap}
.badge.good{color:var(--good);background:var(--goodbg)}.badge.wait{color:var(--wait);background:var(--waitbg)}.badge.bad{color:var(--bad);background:var(--badbg)}
dl{display:grid;grid-template-columns:1fr auto;gap:4px 12px;margin:0;font-variant-numeric:tabular-nums}
dt{color:var(--soft)}dd{margin:0;text-align:right;overflow-wrap:anywhere}
dd.good{color:var(--good)}dd.wait{color:var(--wait);font-weight:600}dd.bad{color:var(--bad);font-weight:600}
.reason{margin:12px 0 0;padding:8px 10px;border-radius:8px;background:var(--badbg);color:var(--bad);font-size:13px;overflow-wrap:anywhere}
progress{width:100%;height:6px;margin-top:12px;accent-color:var(--accent)}
button{margin:14px 0 0;align-self:flex-start;font:inherit;font-size:13px;color:var(--ink);background:transparent;border:1px solid var(--line);border-radius:8px;padding:4px 14px;cursor:pointer}
button:hover{border-color:var(--accent)}:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
[hidden]{display:none!important}
`;

const script = `
const root=document.getElementById('grid'),when=document.getElementById('when'),all=document.getElementById('all');
const el=(tag,cls)=>{const e=document.createElement(tag);if(cls)e.className=cls;return e};
const text=(e,v)=>{v=String(v);if(e.textContent!==v)e.textContent=v};
const cls=(e,v)=>{if(e.className!==v)e.className=v};
const known=v=>v!==null&&v!==undefined;
const n=v=>known(v)?Math.floor(Number(v)).toLocaleString('en'):'\\u2013';
const bytes=v=>{if(!known(v))return'\\u2013';const u=['B','kB','MB','GB','TB'];let i=0;while(v>=1024&&i<4){v/=1024;i++}return(i?v.toFixed(1):v)+' '+u[i]};
const secs=v=>!known(v)?'\\u2013':v<90?(+v).toFixed(v<10?1:0)+' s':v<5400?Math.round(v/60)+' min':v<172800?(v/3600).toFixed(1)+' h':Math.round(v/86400)+' days';
const tone={streaming:'good',standby:'good',live:'good',starting:'wait',connecting:'wait',backfilling:'wait',paused:'bad',stopped:'bad',broken:'bad'};
const cards=new Map();
function card(key){let c=cards.get(key);if(c)return c;const s=el('section'),h=el('h2'),t=el('span'),b=el('span','badge'),d=el('dl'),r=el('p','reason'),p=el('progress'),o=el('button');
s.setAttribute('aria-labelledby','h-'+cards.size);t.id='h-'+cards.size;o.type='button';h.append(t,b);s.append(h,d,r,p,o);root.append(s);
c={s,t,b,d,r,p,o,rows:new Map()};cards.set(key,c);return c}
function show(key,{title,state,rows,reason,share,order}){const c=card(key);c.seen=true;const mood=tone[state]||'wait';text(c.t,title);text(c.b,state);cls(c.b,'badge '+mood);cls(c.s,mood==='bad'?'bad':'');
const names=new Set();for(const [k,v,m] of rows){names.add(k);let r=c.rows.get(k);if(!r){r=[el('dt'),el('dd')];text(r[0],k);c.rows.set(k,r);c.d.append(...r)}text(r[1],v);cls(r[1],m||'')}
for(const [k,r] of c.rows)if(!names.has(k)){r[0].remove();r[1].remove();c.rows.delete(k)}
c.r.hidden=!reason;text(c.r,reason||'');c.p.hidden=!known(share);if(known(share)){c.p.value=share;c.p.setAttribute('aria-label','Backfill of '+title)}
c.o.hidden=!order;if(order){text(c.o,order.word);c.o.setAttribute('aria-label',order.word+' '+title);c.o.onclick=order.run}}
async function order(spoke,what,word){if(what==='pause'&&!confirm(word+' '+spoke+'? Edits are kept and delivered later.'))return;
const a=await fetch('/api/spokes/'+encodeURIComponent(spoke)+'/'+what,{method:'POST'}).catch(e=>({ok:false,status:e.message}));
if(!a.ok)alert(a.status===403?'Your token may look, not order.':'Not done: '+a.status);await look()}
function draw(s){for(const c of cards.values())c.seen=false;const r=s.replication,warn=v=>v?'wait':'';
show('hub',{title:'Hub',state:s.hub.reachable?r.state:'broken',reason:s.hub.reachable?r.reason:'The hub does not answer.',rows:[['Postgres',(s.hub.serverVersion||'\\u2013')+(s.hub.embedded?', embedded':'')],['Behind',bytes(r.lagBytes)],['Behind, at most',secs(r.lagSeconds)],['Slot',r.slotHealth,r.slotHealth==='healthy'?'good':'wait'],['Acknowledged',r.acknowledgedLsn||'\\u2013'],['Open reviews',n(s.reviewsOpen),warn(s.reviewsOpen)]]});
for(const p of s.spokes){const d=p.deliveries,run=p.backfill.find(b=>b.state==='running'),paused=p.state==='paused';
const rows=[['Links',n(p.links)],['Deliveries waiting',n(d.pending+d.sent+d.unknown)],['Outcome unknown',n(d.unknown),warn(d.unknown)],['Oldest delivery',secs(p.oldestDeliverySeconds)],['Last poll',known(p.inboundAgeSeconds)?secs(p.inboundAgeSeconds)+' ago':'\\u2013'],['Parked',n(p.parkedOpen),p.parkedOpen?'bad':''],['Open conflicts',n(p.conflictsOpen),warn(p.conflictsOpen)],['Drift',n(p.driftOpen),p.driftOpen?'bad':''],['Quota left',p.quota?n(p.quota.remaining)+' / '+n(p.quota.limit):'\\u2013']];
if(p.breaker!=='closed')rows.push(['Breaker',p.breaker,'bad']);if(run)rows.push(['Reading '+run.entity,n(run.records)+(run.total?' / '+n(run.total):'')]);
show('spoke '+p.name,{title:p.name,state:p.state,reason:p.reason,rows,share:run&&run.total?Math.min(1,run.records/run.total):null,order:{word:paused?'Resume':'Pause',run:()=>order(p.name,paused?'resume':'pause',paused?'Resume':'Pause')}})}
for(const [key,c] of cards)if(!c.seen){c.s.remove();cards.delete(key)}
const down=[s.hub.reachable?r.state:'broken',...s.spokes.map(p=>p.state)].map(x=>tone[x]||'wait'),worst=down.includes('bad')?'bad':down.includes('wait')?'wait':'good';
all.hidden=false;cls(all,'badge '+worst);text(all,{good:'all well',wait:'working',bad:'needs you'}[worst]);document.title=(worst==='bad'?'! ':'')+'Truespoke';
text(when,'Version '+s.version+' \\u00b7 '+new Date(s.at).toLocaleTimeString())}
async function look(){const a=await fetch('/api/status');if(!a.ok)throw new Error('answered '+a.status);draw(await a.json())}
async function tick(){try{await look()}catch(e){text(when,'Not reachable: '+e.message);all.hidden=false;cls(all,'badge bad');text(all,'not reachable')}finally{setTimeout(tick,document.hidden?10000:2000)}}
tick();
`;

const digest = (text: string): string => `'sha256-${createHash('sha256').update(text, 'utf8').digest('base64')}'`;

/** Only this very script and style run. */
export const pagePolicy =
  `default-src 'none'; script-src ${digest(script)}; style-src ${digest(style)}; connect-src 'self'; img-src data:; ` +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

export const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Truespoke</title><link rel="icon" href="data:,"><style>${style}</style></head>
<body><main><header>
<svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true"><circle cx="16" cy="16" r="13"/><circle cx="16" cy="16" r="3"/><path d="M16 3v10M16 19v10M3 16h10M19 16h10M6.8 6.8l7.1 7.1M18.1 18.1l7.1 7.1M25.2 6.8l-7.1 7.1M13.9 18.1l-7.1 7.1"/></svg>
<div><h1>Truespoke</h1><p id="when">Loading …</p></div><span id="all" class="badge" role="status" hidden></span></header>
<div class="grid" id="grid"></div><noscript>This page needs JavaScript; <a href="/api/status">/api/status</a> has the same as JSON.</noscript></main>
<script>${script}</script></body></html>
`;
