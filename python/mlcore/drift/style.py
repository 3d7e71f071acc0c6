"""The report's style sheet and its one script, which sorts the table."""

from __future__ import annotations

from typing import Final

# Blue and orange stay apart for every common colour blindness, on light and on dark.
STYLE: Final = """
:root{--ink:#1d232b;--soft:#5b6675;--line:#dfe4ea;--paper:#fff;--panel:#f6f8fa;--ref:#7a8899;--cur:#1f6fb4;--alert:#c8540a;
--ok:#2d6a4f;--heat:31,111,180}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa5b4;--line:#2e3742;--paper:#12161b;--panel:#1a2027;
--ref:#8b98a9;--cur:#5aa9e6;--alert:#f08a3c;--ok:#74c69d;--heat:90,169,230}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 64px}h1{font-size:26px;margin:0 0 12px;letter-spacing:-.01em}
h2{font-size:18px;margin:44px 0 8px}h3{font-size:14px;margin:24px 0 4px;color:var(--soft);font-weight:600}
.verdict{display:flex;gap:14px;align-items:baseline;margin:0 0 20px;padding:12px 16px;border-radius:8px;
background:var(--panel);border-left:4px solid var(--ok)}.verdict.drift{border-color:var(--alert)}
.verdict.insufficient{border-color:var(--ref)}.verdict b{white-space:nowrap}.verdict span{color:var(--soft)}
dl{display:flex;flex-wrap:wrap;gap:8px 40px;margin:0}dt{font-size:12px;color:var(--soft)}dd{margin:0;font-weight:600}
.note,footer{color:var(--soft);font-size:13px}.wide{overflow-x:auto}footer{margin-top:56px;border-top:1px solid var(--line);
padding-top:12px}table{border-collapse:collapse;width:100%;font-size:13.5px}td,th{padding:5px 10px;text-align:left;
border-bottom:1px solid var(--line);white-space:nowrap}tbody th{font-weight:500;max-width:280px;overflow:hidden;
text-overflow:ellipsis}td.n{text-align:right;font-variant-numeric:tabular-nums}thead th{border-bottom:2px solid var(--line)}
thead button{all:unset;cursor:pointer;font-weight:600;color:var(--soft);font-size:12.5px}thead button:hover,
thead button:focus-visible{color:var(--ink);text-decoration:underline}.chip{font-size:12px;padding:1px 8px;border-radius:9px;
border:1px solid var(--line);color:var(--soft)}.chip.drift,.chip.absent,.chip.new,.chip.retyped{color:var(--alert);
border-color:var(--alert)}details{border-top:1px solid var(--line);padding:10px 0}summary{cursor:pointer}
.figures{display:flex;flex-wrap:wrap;gap:8px 28px;align-items:flex-end;margin:8px 0}svg{display:block;max-width:100%;
height:auto}svg text{fill:var(--soft);font-size:11px;font-family:inherit}svg text.strong{fill:var(--ink)}
.ref{fill:var(--ref)}.cur{fill:var(--cur)}.axis{stroke:var(--line)}.ring{fill:none;stroke:var(--alert);stroke-width:2}
.curve{fill:none;stroke:var(--cur);stroke-width:1.8}.mark{stroke:var(--alert);stroke-width:1.5}
.heat{fill:rgb(var(--heat))}ul{padding-left:20px}
"""

SCRIPT: Final = """
document.querySelectorAll('#columns thead button').forEach(function(button,index){var down=true;
button.addEventListener('click',function(){var body=document.querySelector('#columns tbody');
function key(row){var cell=row.children[index];return cell.dataset.sort===undefined?cell.textContent:Number(cell.dataset.sort)}
Array.from(body.rows).sort(function(a,b){var x=key(a),y=key(b);return (x<y?-1:x>y?1:0)*(down?-1:1)})
.forEach(function(row){body.appendChild(row)});down=!down})});
"""
