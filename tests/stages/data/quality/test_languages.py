"""Which language a text is in, and when that cannot be told."""

import pytest

from furrow.stages.data.quality.languages import language_of

SAYS = {
    "en": "The carrots are sown in April, and they want deep sand that is free of stones.",
    "de": "Die Karotten werden im April gesät und wollen einen tiefen Sand, der nicht zu nass ist.",
    "fr": "Les carottes sont semées en avril et elles veulent un sable profond qui ne soit pas trop humide.",
    "es": "Las zanahorias se siembran en abril y quieren una arena profunda que no sea muy húmeda para ellas.",
    "it": "Le carote si seminano in aprile e vogliono una sabbia profonda che non sia troppo umida per loro.",
    "pt": "As cenouras são semeadas em abril e querem uma areia funda que não seja muito úmida para elas.",
    "nl": "De wortels worden in april gezaaid en het zand dat ze willen is diep en niet te nat voor de plant.",
    "sv": "Morötterna sås i april och vill ha en djup sand som inte är för våt, eller hur man nu säger det.",
    "pl": "Marchew sieje się w kwietniu i nie jest to trudne, ale piasek jest do tego ważny przez cały rok.",
    "tr": "Bu sebze için kum çok iyi bir yer ve daha fazla su gibi şeyler de olarak gerekli değil.",
    "ru": "Морковь сеют в апреле, и она любит песок, но не на камнях, как это часто бывает.",
    "uk": "Моркву сіють у квітні, і вона любить пісок, але не на камінні, як це часто буває.",
    "el": "Τα καρότα σπέρνονται τον Απρίλιο.",
    "ja": "にんじんは四月にまきます。",
    "zh": "胡萝卜四月播种，喜欢深沙。",
    "ko": "당근은 사월에 씨를 뿌립니다.",
    "ar": "يزرع الجزر في شهر أبريل وهو من الخضروات التي لا تحب الماء على الأوراق.",
    "hi": "गाजर अप्रैल में बोई जाती है।",
    "th": "แครอทปลูกในเดือนเมษายน",
}


@pytest.mark.parametrize("code", SAYS)
def test_a_sentence_tells_its_language(code):
    assert language_of(SAYS[code]) == code


@pytest.mark.parametrize("text", ["", "Apiaceae.", "206", "OK", "x = [1, 2, 3]", "Daucus carota subsp. sativus", "!!"])
def test_what_is_too_short_or_no_language_is_not_guessed(text):
    assert language_of(text) is None


def test_code_does_not_count():
    assert language_of("Die Zeile ist nicht zu lang:\n```\nfor the of and to in is that it for you\n```") == "de"
