"""Letters that look like ASCII ones, and the digits of all scripts.

Made by tools/refresh_lookalikes.py, not by hand, from the confusables of Unicode Technical Standard 39; see NOTICE.
"""

from __future__ import annotations

from typing import Final

LOOKALIKES: Final = (
    "\u0184\u018d\u0196\u01a6\u01a7\u01b7\u01bc\u01bd\u01c0\u021c\u0222\u0223\u0251\u0261\u0263\u0269"
    "\u026a\u026f\u028b\u028f\u037a\u037f\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f"
    "\u03a1\u03a4\u03a5\u03a7\u03b1\u03b3\u03b5\u03b7\u03b9\u03ba\u03bd\u03bf\u03c1\u03c3\u03c4\u03c5"
    "\u03c9\u03d2\u03dc\u03e8\u03f1\u03f2\u03f3\u03f9\u03fa\u0405\u0406\u0408\u0410\u0412\u0415\u0417"
    "\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u042c\u0430\u0431\u0432\u0433\u0435\u043a"
    "\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0455\u0456\u0458\u0461\u0474\u0475\u04ae\u04af"
    "\u04bb\u04bd\u04c0\u04cf\u04e0\u0501\u050c\u051b\u051c\u051d\u054d\u054f\u0555\u0561\u0563\u0566"
    "\u0570\u0578\u057c\u057d\u0581\u0584\u0585\u13a0\u13a1\u13a2\u13a5\u13a9\u13aa\u13ab\u13ac\u13b3"
    "\u13b7\u13bb\u13bd\u13c0\u13c2\u13c3\u13ce\u13cf\u13d2\u13d4\u13d5\u13d9\u13da\u13de\u13df\u13e2"
    "\u13e6\u13e7\u13ee\u13f3\u13f4\u1d04\u1d0f\u1d11\u1d1c\u1d20\u1d21\u1d22\u1d26\u1d83\u1d8c\u1e9d"
    "\u1eff\u1fbe\u2c85\u2c8e\u2c92\u2c94\u2c98\u2c9a\u2c9e\u2c9f\u2ca2\u2ca3\u2ca4\u2ca5\u2ca6\u2ca8"
    "\u2cac\u2cca\u2ccc\u2cd0\u2cd2\ua4d0\ua4d1\ua4d2\ua4d3\ua4d4\ua4d6\ua4d7\ua4d9\ua4da\ua4dc\ua4dd"
    "\ua4df\ua4e0\ua4e1\ua4e2\ua4e3\ua4e6\ua4e7\ua4ea\ua4eb\ua4ec\ua4ee\ua4f0\ua4f2\ua4f3\ua4f4\ua644"
    "\ua647\ua731\ua75a\ua76a\ua76e\ua798\ua799\ua79f\ua7ab\ua7b2\ua7b3\ua7b4\uab32\uab35\uab3d\uab47"
    "\uab48\uab4e\uab52\uab5a\uab75\uab81\uab83\uab93\uaba9\uabaa\uabaf"
)
"""Letters that look like ASCII ones."""

PLAIN: Final = (
    "bgIR235sl388agyiiwuyiJABEZHIKMNOPTYXayenikvopotuwYF2pcjCMSIJABE3KMHOPCTYXba6brekmhopctyxsijwVvYyhe"
    "Ii3dGqWwUSOwqqhnnugfoDRTiYAJEWMHYGhZ4bRWSVSLCPKd6GBcoouvwzrgyfyirHIKMNOoPpCcTYX93L6BPdDTGKJCZFMNLS"
    "RVHWXYAElOU2is239Ffu3JXBeforruuyirwzvsc"
)
"""What each of them looks like."""

ZEROS: Final = (
    "\u0660\u06f0\u07c0\u0966\u09e6\u0a66\u0ae6\u0b66\u0be6\u0c66\u0ce6\u0d66\u0de6\u0e50\u0ed0\u0f20"
    "\u1040\u1090\u17e0\u1810\u1946\u19d0\u1a80\u1a90\u1b50\u1bb0\u1c40\u1c50\ua620\ua8d0\ua900\ua9d0"
    "\ua9f0\uaa50\uabf0\uff10\U000104a0\U00010d30\U00011066\U000110f0\U00011136\U000111d0\U000112f0"
    "\U00011450\U000114d0\U00011650\U000116c0\U00011730\U000118e0\U00011950\U00011c50\U00011d50"
    "\U00011da0\U00016a60\U00016ac0\U00016b50\U0001d7ce\U0001d7d8\U0001d7e2\U0001d7ec\U0001d7f6"
    "\U0001e140\U0001e2f0\U0001e950\U0001fbf0"
)
"""The zero of each row of ten digits that is not ASCII."""
